import type { Announcer } from './announcer.js';
import type { CreatedApiKey } from './api.js';
import { createCopyButton } from './copy-button.js';
import { h } from './dom.js';
import { icon } from './icons.js';
import { createQuickStart } from './quick-start.js';

/** What the banner shows and whom it tells. */
export interface NewKeyBannerParts {
  readonly key: CreatedApiKey;
  /** E.g. what became of the key that this one replaces. */
  readonly note: string | null;
  readonly exampleUrl: string;
  readonly announcer: Announcer;
  readonly onDismiss: () => void;
}

/** The one place where a raw key is shown. */
export interface NewKeyBanner {
  readonly element: HTMLElement;
  /** The key is on the page and has not been copied. */
  readonly uncopied: boolean;
  /** Removes the raw key from the page. */
  clear(): void;
}

export function createNewKeyBanner({ key, note, exampleUrl, announcer, onDismiss }: NewKeyBannerParts): NewKeyBanner {
  let rawKey = key.raw_key;
  let uncopied = true;
  const value = h('code', { class: 'raw-key', translate: 'no' }, rawKey);
  // Selecting the key by hand and copying it is as good as the button.
  value.addEventListener('copy', () => {
    uncopied = false;
  });
  const copy = createCopyButton({
    label: 'Copy',
    className: 'button-primary',
    text: () => rawKey,
    source: value,
    said: 'The key is on the clipboard.',
    announcer,
    onCopied: () => {
      uncopied = false;
    },
  });
  const dismiss = h('button', { type: 'button', class: 'button button-quiet', onclick: onDismiss }, 'Dismiss');
  const element = h(
    'section',
    { class: 'banner', 'aria-labelledby': 'new-key-heading', tabindex: -1 },
    icon('key'),
    h(
      'div',
      { class: 'banner-body' },
      h('h2', { id: 'new-key-heading' }, "API key created — copy this key now, it won't be shown again"),
      h('p', { class: 'banner-name' }, h('strong', {}, key.name), note === null ? null : ` · ${note}`),
      h('div', { class: 'raw-key-row' }, value, h('div', { class: 'raw-key-actions' }, copy, dismiss)),
      createQuickStart({ keyName: key.name, workflowId: key.workflow_id, exampleUrl }, announcer),
    ),
  );
  return {
    element,
    get uncopied() {
      return uncopied;
    },
    clear() {
      rawKey = '';
      uncopied = false;
      value.textContent = '';
      element.remove();
    },
  };
}
