import type { ApiKey } from './api.js';
import { createBusyButton } from './busy-button.js';
import { h } from './dom.js';
import { icon } from './icons.js';
import { createKeyRow, type KeyRow, type KeyRowParts } from './key-row.js';
import { createAlert } from './notice.js';
import type { WorkflowNames } from './workflow-names.js';

/** Rows of the skeleton. */
const SKELETON_ROWS = 3;

/** What the list needs and whom it tells. */
export interface KeyListParts {
  readonly row: KeyRowParts;
  readonly onToggleRevoked: (show: boolean) => void;
  /** Resolves to what went wrong, if that is to be shown here. Must not reject. */
  readonly onMore: () => Promise<string | null>;
  readonly onRetry: () => void;
}

/** What the list shows. */
export interface KeyListContent {
  readonly keys: readonly ApiKey[];
  /** `null` while nothing is known of them. */
  readonly workflows: WorkflowNames | null;
  readonly includesRevoked: boolean;
  readonly hasMore: boolean;
}

/** The list of keys: a skeleton, an error, nothing yet, or rows. A row keeps its element, focus and open question. */
export interface KeyList {
  readonly element: HTMLElement;
  showLoading(): void;
  /** Nothing has been read yet: the error takes the place of the list. */
  showError(text: string): void;
  /** The rows on the page are of an earlier reading, because this one failed. */
  showStale(text: string): void;
  showSignedOut(): void;
  show(content: KeyListContent): void;
  tick(): void;
  /** Marks a row as the one just made. */
  highlight(id: string): void;
  focusHeading(): void;
}

export function createKeyList(parts: KeyListParts): KeyList {
  const rows = new Map<string, KeyRow>();
  const list = h('ul', { class: 'keys', role: 'list', 'aria-labelledby': 'keys-heading' });
  const alerts = h('div', { class: 'keys-alerts' });
  const slot = h('div', { class: 'card keys-card' });
  const heading = h('h2', { id: 'keys-heading', tabindex: -1 }, 'API keys');
  const toggle = h('input', { type: 'checkbox', id: 'show-revoked', class: 'switch', role: 'switch' });
  toggle.addEventListener('change', () => parts.onToggleRevoked(toggle.checked));
  const more = createBusyButton({
    label: 'Load more',
    busyLabel: 'Loading…',
    className: 'button-quiet',
    async onClick() {
      const last = list.lastElementChild;
      more.setBusy(true);
      const problem = await parts.onMore();
      more.setBusy(false);
      showMoreProblem(problem);
      // The button is gone after the last page: go on where the new rows begin.
      if (more.element.parentElement?.hidden !== false) (last?.nextElementSibling as HTMLElement | null)?.focus();
    },
  });
  const moreAlerts = h('div', { class: 'keys-more-alerts' });
  const footer = h('div', { class: 'keys-footer', hidden: true }, moreAlerts, more.element);
  const element = h(
    'section',
    { class: 'keys-section', 'aria-labelledby': 'keys-heading' },
    h(
      'div',
      { class: 'section-header' },
      heading,
      h('div', { class: 'toggle' }, toggle, h('label', { for: 'show-revoked' }, 'Show revoked keys')),
    ),
    alerts,
    slot,
    footer,
  );

  function showMoreProblem(text: string | null): void {
    more.setLabel(text === null ? 'Load more' : 'Try again');
    moreAlerts.replaceChildren();
    if (text === null) return;
    moreAlerts.append(createAlert(h('p', { class: 'notice-title' }, 'No more keys could be loaded'), h('p', {}, text)));
  }

  function problemWith(title: string, text: string): HTMLElement {
    const again = h('button', { type: 'button', class: 'button button-quiet', onclick: parts.onRetry }, 'Try again');
    return createAlert(
      h('p', { class: 'notice-title' }, title),
      h('p', {}, text),
      h('div', { class: 'notice-actions' }, again),
    );
  }

  function reset(): void {
    if (list.contains(document.activeElement)) heading.focus();
    alerts.replaceChildren();
    rows.clear();
    list.replaceChildren();
    footer.hidden = true;
  }

  return {
    element,
    showLoading() {
      reset();
      slot.setAttribute('aria-busy', 'true');
      const bones = Array.from({ length: SKELETON_ROWS }, () =>
        h('div', { class: 'skeleton-row' }, h('span', { class: 'bone bone-wide' }), h('span', { class: 'bone' })),
      );
      slot.replaceChildren(
        h('p', { class: 'visually-hidden' }, 'Loading your keys…'),
        h('div', { class: 'skeleton', 'aria-hidden': 'true' }, ...bones),
      );
    },
    showError(text) {
      reset();
      slot.removeAttribute('aria-busy');
      slot.replaceChildren(h('div', { class: 'slot-message' }, problemWith('Your keys could not be loaded', text)));
    },
    showStale(text) {
      alerts.replaceChildren(problemWith('This list may be out of date', text));
    },
    showSignedOut() {
      reset();
      slot.removeAttribute('aria-busy');
      slot.replaceChildren(
        h('div', { class: 'empty' }, icon('key'), h('p', {}, 'Your keys appear here once you are signed in.')),
      );
    },
    show({ keys, workflows, includesRevoked, hasMore }) {
      alerts.replaceChildren();
      showMoreProblem(null);
      slot.removeAttribute('aria-busy');
      const wanted = new Map(keys.map((key) => [key.id, key]));
      let focusLost = false;
      for (const [id, row] of rows) {
        const key = wanted.get(id);
        if (key !== undefined) row.update(key, workflows);
        else if (row.held) row.update(row.key, workflows);
        else {
          focusLost ||= row.element.contains(document.activeElement);
          row.element.remove();
          rows.delete(id);
        }
      }
      const order = keys.map((key) => {
        const row = rows.get(key.id) ?? createKeyRow(key, workflows, parts.row);
        rows.set(key.id, row);
        return row;
      });
      for (const row of rows.values()) {
        if (wanted.has(row.key.id)) continue;
        const older = order.findIndex(({ key }) => key.created_at < row.key.created_at);
        order.splice(older < 0 ? order.length : older, 0, row);
      }
      // A row that is in its place is not moved, so that it keeps the focus.
      let place = list.firstElementChild;
      for (const { element: item } of order) {
        if (item === place) place = place.nextElementSibling;
        else list.insertBefore(item, place);
      }
      if (rows.size === 0) slot.replaceChildren(emptyState(includesRevoked));
      else if (list.parentElement !== slot) slot.replaceChildren(list);
      footer.hidden = !hasMore;
      if (focusLost) heading.focus();
    },
    tick() {
      for (const row of rows.values()) row.tick();
    },
    highlight(id) {
      rows.get(id)?.element.classList.add('is-new');
    },
    focusHeading: () => heading.focus(),
  };
}

function emptyState(includesRevoked: boolean): HTMLElement {
  return h(
    'div',
    { class: 'empty' },
    icon('key'),
    h('p', { class: 'empty-title' }, includesRevoked ? 'No API keys yet' : 'No active API keys'),
    h('p', {}, 'Create one above, then call your workflows from your own programs.'),
  );
}
