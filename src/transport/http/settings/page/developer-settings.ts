import { createAnnouncer } from './announcer.js';
import type { Api, ApiKey, CreatedApiKey } from './api.js';
import { ApiProblem } from './api-problem.js';
import { createCreateForm } from './create-form.js';
import { createDateFormat } from './dates.js';
import { describeProblem } from './describe-problem.js';
import { h } from './dom.js';
import { createKeyList } from './key-list.js';
import { createNewKeyBanners } from './new-key-banners.js';
import { now } from './now.js';
import { rotationNote } from './rotation-note.js';
import { createSessionNotice } from './session-notice.js';
import { onChangeElsewhere, tellOtherTabs } from './tabs.js';
import { namesUnknownWorkflow, type WorkflowNames, workflowNames } from './workflow-names.js';

/** How often the dates on the page are brought up to date, in ms. */
const TICK_MS = 30_000;

/** How many keys are listed at first. */
const FIRST_KEYS = 50;

/** How many more each "Load more" lists. */
const MORE_KEYS = 200;

/** What the page is made of. */
export interface DeveloperSettingsParts {
  readonly api: Api;
  readonly exampleUrl: string;
}

/**
 * The page: what is known of the account's keys, and the parts that show it.
 *
 * The list on the page is always the server's: after each change it is read again, and nothing is guessed.
 */
export function createDeveloperSettings({ api, exampleUrl }: DeveloperSettingsParts): {
  readonly element: HTMLElement;
  start(): void;
} {
  const dates = createDateFormat(navigator.languages);
  const announcer = createAnnouncer();
  let keys: readonly ApiKey[] = [];
  let hasMore = false;
  /** How many keys are to be listed; a list that was made longer stays so. */
  let wanted = FIRST_KEYS;
  let workflows: WorkflowNames | null = null;
  /** Whose keys these are. */
  let account: string | null = null;
  let showRevoked = false;
  let loaded = false;
  /** Grows with each reading of the list, so that a slow answer never overwrites a newer one. */
  let reading = 0;
  /** The same for the workflows. */
  let asking = 0;

  const banners = createNewKeyBanners({ exampleUrl, announcer, onEmpty: () => list.focusHeading() });

  const session = createSessionNotice({
    async check() {
      await Promise.all([loadKeys(), loadWorkflows()]);
    },
    focusElsewhere: () => list.focusHeading(),
  });

  const form = createCreateForm({
    dates,
    create: (order) => api.createKey(order),
    onCreated: (key) => showNewKey(key, null),
    onSignedOut: signedOut,
    onWorkflowGone: () => void loadWorkflows(),
    onUncertain: () => void loadKeys(),
  });

  const list = createKeyList({
    row: {
      dates,
      revoke: (id) => api.revokeKey(id),
      rotate: (id, overlapSeconds) => api.rotateKey(id, overlapSeconds),
      onRevoked(key) {
        banners.remove(key.id);
        tellOtherTabs();
        void loadKeys();
      },
      onRotated(old, replacement, overlapSeconds) {
        if (overlapSeconds === 0) banners.remove(old.id);
        showNewKey(replacement, rotationNote(old, replacement, overlapSeconds, dates, now()));
      },
      onSignedOut: signedOut,
      onStale: () => void loadKeys(),
      onReceiptDismissed() {
        showKeys();
        list.focusHeading();
      },
    },
    onToggleRevoked(show) {
      showRevoked = show;
      void loadKeys().then(sayHowMany);
    },
    onMore: loadMore,
    onRetry() {
      if (!loaded) list.showLoading();
      void Promise.all([loadKeys(), workflows === null ? loadWorkflows() : undefined]);
    },
  });

  function signedOut(): void {
    session.show(loaded);
  }

  function showKeys(): void {
    list.show({ keys, workflows, includesRevoked: showRevoked, hasMore });
  }

  /** Reads and shows the list; `null` when it is shown, or a newer reading is about to show it. */
  async function readKeys(): Promise<ApiProblem | null> {
    reading += 1;
    const mine = reading;
    try {
      const listing = await api.listKeys({ includeRevoked: showRevoked, count: wanted });
      if (mine !== reading) return null;
      if (account !== null && account !== listing.account) forgetAccount(listing.keys);
      ({ keys, hasMore, account } = listing);
      loaded = true;
      session.hide();
      showKeys();
      explainScopes();
      return null;
    } catch (error) {
      return mine === reading ? ApiProblem.of(error) : null;
    }
  }

  /** Another account has signed in in this browser: nothing of the one before may stay, its new keys least of all. */
  function forgetAccount(keysNow: readonly ApiKey[]): void {
    // A key that was made before this was noticed is the new account's own.
    banners.retain(new Set(keysNow.map(({ id }) => id)));
    form.reset();
    form.setWorkflows([]);
    list.showLoading();
    workflows = null;
    wanted = FIRST_KEYS;
    void loadWorkflows();
    announcer.say('Another account is signed in now. These are its keys.');
  }

  async function loadKeys(): Promise<void> {
    const problem = await readKeys();
    if (problem !== null) showListProblem(problem);
  }

  /** Without a session, keys that were shown stay: the notice above says why nothing works. */
  function showListProblem(problem: ApiProblem): void {
    if (problem.signedOut) {
      signedOut();
      if (!loaded) list.showSignedOut();
    } else if (loaded) list.showStale(describeProblem(problem));
    else list.showError(describeProblem(problem));
  }

  function sayHowMany(): void {
    announcer.say(keys.length === 1 ? '1 key is shown.' : `${keys.length} keys are shown.`);
  }

  /** What went wrong, unless it is said elsewhere. */
  async function loadMore(): Promise<string | null> {
    wanted = keys.length + MORE_KEYS;
    const problem = await readKeys();
    if (problem?.signedOut === true) signedOut();
    else if (problem !== null) return describeProblem(problem);
    else sayHowMany();
    return null;
  }

  async function loadWorkflows(): Promise<void> {
    asking += 1;
    const mine = asking;
    const listed = keys;
    try {
      const found = await api.listWorkflows();
      if (mine !== asking) return;
      workflows = workflowNames(found, listed);
      form.setWorkflows(found);
      if (loaded) showKeys();
      explainScopes();
    } catch (error) {
      if (mine !== asking) return;
      if (ApiProblem.of(error).signedOut) signedOut();
      else form.setWorkflowsFailed(() => void loadWorkflows());
    }
  }

  /** Reads the workflows again when a key names one that is newer than they are, or deleted. */
  function explainScopes(): void {
    if (workflows !== null && namesUnknownWorkflow(keys, workflows)) void loadWorkflows();
  }

  function showNewKey(key: CreatedApiKey, note: string | null): void {
    banners.show(key, note);
    tellOtherTabs();
    void loadKeys().then(() => list.highlight(key.id));
  }

  const element = h(
    'div',
    { class: 'stack' },
    session.element,
    banners.element,
    form.element,
    list.element,
    announcer.element,
  );
  return {
    element,
    start() {
      list.showLoading();
      void loadKeys();
      void loadWorkflows();
      onChangeElsewhere(() => {
        void loadKeys();
        void loadWorkflows();
      });
      setInterval(() => {
        if (!document.hidden) list.tick();
      }, TICK_MS);
      // The only copy of a key is about to be lost.
      addEventListener('beforeunload', (event) => {
        if (banners.uncopied) event.preventDefault();
      });
      // A page that the browser keeps for its back button must not keep a raw key.
      addEventListener('pagehide', () => banners.clear());
    },
  };
}
