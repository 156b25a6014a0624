import { createApi } from './api.js';
import { createDeveloperSettings } from './developer-settings.js';

const app = document.getElementById('app');
const exampleUrl = document.querySelector<HTMLMetaElement>('meta[name="latchkey-example-url"]')?.content ?? '';
// Relative to the page, so that a proxy may serve all of this under a path of its own.
const settings = createDeveloperSettings({ api: createApi(new URL('../api/', document.baseURI)), exampleUrl });
app?.replaceChildren(settings.element);
settings.start();
