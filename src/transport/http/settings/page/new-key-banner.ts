import type { Announcer } from './announcer.js';
import type { CreatedApiKey } from './api.js';
import { createConfirmPanel } from './confirm-panel.js';
import { createCopyButton } from './copy-button.js';
import { h, uniqueId } from './dom.js';
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
  /** The key is on the page and has not been copied; then it is asked about before it is dismissed. */
  readonly uncopied: boolean;
  /** Removes the raw key from the page. */
  clear(): void;
}

export function createNewKeyBanner({ key, note, exampleUrl, announcer, onDismiss }: NewKeyBannerParts): NewKeyBanner {
  let rawKey = key.raw_key;
  let uncopied = true;
  const headingId = uniqueId('new-key');
  const nameId = uniqueId('new-key-name');
  const question = h('div');
  const value = h('code', { class: 'raw-key', translate: 'no' }, rawKey);
  function copied(): void {
    uncopied = false;
    // Nothing is lost any more.
    question.replaceChildren();
  }
  // Selecting the key by hand and copying it is as good as the button.
  value.addEventListener('copy', copied);
  const copy = createCopyButton({
    label: 'Copy',
    className: 'button-primary',
    text: () => rawKey,
    source: value,
    said: 'The key is on the clipboard.',
    announcer,
    onCopied: copied,
  });

  function askBeforeLoss(): void {
    const panel = createConfirmPanel({
      heading: 'h3',
      question: ['Dismiss "', h('bdi', {}, key.name), '" without copying it?'],
      body: [h('p', {}, 'It cannot be shown again. A key that nobody has is best revoked.')],
      action: { label: 'Dismiss anyway', busyLabel: 'Dismiss anyway', className: 'button-danger' },
      keepLabel: 'Keep it',
      focus: 'keep',
      run: async () => onDismiss(),
      explain: () => null,
      onClose() {
        question.replaceChildren();
        dismiss.focus();
      },
    });
    question.replaceChildren(panel.element);
    panel.focus();
  }

  const dismiss = h('button', { type: 'button', class: 'button button-quiet' }, 'Dismiss');
  dismiss.addEventListener('click', () => (uncopied ? askBeforeLoss() : onDismiss()));
  const element = h(
    'section',
    { class: 'banner', 'aria-labelledby': `${headingId} ${nameId}`, tabindex: -1 },
    icon('key'),
    h(
      'div',
      { class: 'banner-body' },
      h('h2', { id: headingId }, "API key created — copy this key now, it won't be shown again"),
      h(
        'p',
        { class: 'banner-name' },
        h('strong', { id: nameId }, h('bdi', {}, key.name)),
        note === null ? null : ` · ${note}`,
      ),
      h('div', { class: 'raw-key-row' }, value, h('div', { class: 'raw-key-actions' }, copy, dismiss)),
      question,
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
