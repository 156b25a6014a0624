import type { ApiKey, CreatedApiKey, Receipt } from './api.js';
import type { ApiProblem } from './api-problem.js';
import { type ConfirmPanel, createConfirmPanel, type Explanation } from './confirm-panel.js';
import type { DateFormat, DateText } from './dates.js';
import { describeProblem } from './describe-problem.js';
import { type Child, h, uniqueId } from './dom.js';
import { icon } from './icons.js';
import { keyState } from './key-state.js';
import { now } from './now.js';
import { OVERLAPS } from './overlaps.js';
import { permissionLabel } from './permissions-field.js';
import { receiptText } from './receipt-text.js';
import { ALL_WORKFLOWS } from './workflow-labels.js';
import type { WorkflowNames } from './workflow-names.js';

/** An expiry this near is emphasised. */
const EXPIRES_SOON_MS = 7 * 86_400_000;

/** What a row needs and whom it tells. */
export interface KeyRowParts {
  readonly dates: DateFormat;
  readonly revoke: (id: string) => Promise<Receipt>;
  readonly rotate: (id: string, overlapSeconds: number) => Promise<CreatedApiKey>;
  readonly onRevoked: (key: ApiKey) => void;
  readonly onRotated: (old: ApiKey, replacement: CreatedApiKey, overlapSeconds: number) => void;
  readonly onSignedOut: () => void;
  /** The key may not be as the row shows it, or not belong in the list any more: it is to be read again. */
  readonly onStale: () => void;
  /** The receipt of a revoked key has been read. */
  readonly onReceiptDismissed: (key: ApiKey) => void;
}

/** One key in the list. */
export interface KeyRow {
  readonly element: HTMLElement;
  readonly key: ApiKey;
  /** A question is open, or a receipt not yet dismissed: the row must stay although the list would drop it. */
  readonly held: boolean;
  update(key: ApiKey, workflows: WorkflowNames | null): void;
  /** Brings the dates up to date. */
  tick(): void;
  focus(): void;
}

export function createKeyRow(initial: ApiKey, initialWorkflows: WorkflowNames | null, parts: KeyRowParts): KeyRow {
  let key = initial;
  let workflows = initialWorkflows;
  let panel: ConfirmPanel | null = null;
  let receipt: Receipt | null = null;

  const nameId = uniqueId('key');
  const name = h('h3', { class: 'key-name', id: nameId });
  const badges = h('span', { class: 'badges' });
  const prefix = h('code', { class: 'key-prefix', translate: 'no' });
  const scope = h('p', { class: 'key-scope' });
  const permissions = h('p', { class: 'key-permissions' });
  const times = h('div', { class: 'key-times' });
  const rotateButton = h('button', { type: 'button', class: 'icon-button', title: 'Rotate key' }, icon('rotate'));
  const revokeButton = h(
    'button',
    { type: 'button', class: 'icon-button icon-button-danger', title: 'Revoke key' },
    icon('trash'),
  );
  const actions = h('div', { class: 'key-actions' }, rotateButton, revokeButton);
  const below = h('div', { class: 'key-below' });
  const element = h(
    'li',
    { class: 'key', 'aria-labelledby': nameId, tabindex: -1 },
    h('div', { class: 'key-identity' }, h('div', { class: 'key-title' }, name, badges), prefix),
    h('div', { class: 'key-rights' }, scope, permissions),
    times,
    actions,
    below,
  );

  /** Makes a change; when it takes away what has the focus, the row gets it. */
  function keepingFocus(change: () => void): void {
    const had = element.contains(document.activeElement);
    change();
    const focused = document.activeElement;
    if (had && (!element.contains(focused) || focused?.closest('[hidden]') != null)) element.focus();
  }

  function tick(): void {
    const at = now();
    const state = keyState(key, at);
    element.className = `key is-${state}`;
    badges.replaceChildren(...badgesOf(state));
    times.replaceChildren(...timesOf(key, parts.dates, at));
    rotateButton.hidden = state === 'revoked' || state === 'expired';
    actions.hidden = state === 'revoked';
  }

  function show(): void {
    // Whichever way a name is written, what stands around it keeps its order.
    name.replaceChildren(h('bdi', {}, key.name));
    prefix.textContent = `${key.key_prefix}…`;
    scope.replaceChildren(...scopeOf(key.workflow_id, workflows));
    // A long name is cut off.
    scope.title = scope.textContent ?? '';
    permissions.textContent = key.permissions.map(permissionLabel).join(', ');
    revokeButton.setAttribute('aria-label', `Revoke key ${key.name}`);
    rotateButton.setAttribute('aria-label', `Rotate key ${key.name}`);
    tick();
  }

  function open(next: ConfirmPanel, opener: HTMLElement): void {
    if (panel?.busy === true) return;
    closePanel();
    panel = next;
    for (const button of [rotateButton, revokeButton]) {
      button.setAttribute('aria-expanded', String(button === opener));
    }
    below.replaceChildren(next.element);
    next.focus();
  }

  function closePanel(): void {
    panel = null;
    rotateButton.removeAttribute('aria-expanded');
    revokeButton.removeAttribute('aria-expanded');
    below.replaceChildren();
  }

  function goBackTo(opener: HTMLElement): void {
    closePanel();
    opener.focus();
    // An open question keeps a row that the list has dropped meanwhile.
    parts.onStale();
  }

  function failed(problem: ApiProblem): void {
    if (problem.signedOut) parts.onSignedOut();
    else if (problem.uncertain || problem.status === 404 || problem.status === 409) parts.onStale();
  }

  function askRevoke(): void {
    open(
      createConfirmPanel({
        question: ['Revoke "', h('bdi', {}, key.name), '"?'],
        body: [
          h(
            'p',
            {},
            'Every program that uses ',
            h('code', {}, `${key.key_prefix}…`),
            ' loses access at once. This cannot be undone.',
          ),
        ],
        action: { label: 'Revoke', busyLabel: 'Revoking…', className: 'button-danger' },
        keepLabel: 'Keep it',
        focus: 'keep',
        async run() {
          const proof = await parts.revoke(key.id);
          receipt = proof;
          key = { ...key, revoked_at: key.revoked_at ?? new Date(now()).toISOString() };
          closePanel();
          show();
          showReceipt(proof);
          parts.onRevoked(key);
        },
        explain(problem) {
          failed(problem);
          return explainRevocation(problem);
        },
        onClose: () => goBackTo(revokeButton),
      }),
      revokeButton,
    );
  }

  function askRotate(): void {
    const selectId = uniqueId('overlap');
    const select = h('select', { class: 'input', id: selectId });
    for (const { seconds, label, byDefault } of OVERLAPS) {
      select.append(h('option', { value: seconds, selected: byDefault }, label));
    }
    open(
      createConfirmPanel({
        question: ['Rotate "', h('bdi', {}, key.name), '"?'],
        body: [
          h(
            'p',
            {},
            'You get a new key with the same name, scope, permissions and expiry. Choose how long the old one goes on working.',
          ),
          h(
            'div',
            { class: 'field field-inline' },
            h('label', { for: selectId }, 'Old key stops working'),
            h('div', { class: 'select' }, select, icon('chevron')),
          ),
        ],
        action: { label: 'Rotate', busyLabel: 'Rotating…', className: 'button-primary' },
        keepLabel: 'Cancel',
        focus: 'body',
        async run() {
          const overlapSeconds = Number(select.value);
          const replacement = await parts.rotate(key.id, overlapSeconds);
          closePanel();
          parts.onRotated(key, replacement, overlapSeconds);
        },
        explain(problem) {
          failed(problem);
          return explainRotation(problem);
        },
        onClose: () => goBackTo(rotateButton),
      }),
      rotateButton,
    );
  }

  function showReceipt(proof: Receipt): void {
    const { headline, detail } = receiptText(proof);
    const done = h(
      'button',
      { type: 'button', class: 'icon-button icon-button-small', title: 'Hide', 'aria-label': 'Hide the receipt' },
      icon('close'),
    );
    done.addEventListener('click', () => {
      receipt = null;
      below.replaceChildren();
      parts.onReceiptDismissed(key);
    });
    const textId = uniqueId('receipt');
    const shown = h(
      'div',
      {
        class: 'receipt',
        tabindex: -1,
        role: 'group',
        'aria-label': `${key.name} is revoked`,
        'aria-describedby': textId,
      },
      icon('shield'),
      h(
        'div',
        { id: textId },
        h('p', { class: 'receipt-headline' }, headline),
        h('p', { class: 'receipt-detail' }, detail),
      ),
      done,
    );
    below.replaceChildren(shown);
    shown.focus();
  }

  revokeButton.addEventListener('click', askRevoke);
  rotateButton.addEventListener('click', askRotate);
  show();

  return {
    element,
    get key() {
      return key;
    },
    get held() {
      return panel !== null || receipt !== null;
    },
    update(next, names) {
      key = next;
      workflows = names;
      keepingFocus(() => {
        // Revoked elsewhere: there is nothing left to ask, unless this very row is waiting for its own answer.
        if (key.revoked_at !== null && panel !== null && !panel.busy) closePanel();
        show();
      });
    },
    tick: () => keepingFocus(tick),
    focus: () => element.focus(),
  };
}

function badgesOf(state: ReturnType<typeof keyState>): readonly HTMLElement[] {
  switch (state) {
    case 'revoked':
      return [h('span', { class: 'badge' }, 'Revoked')];
    case 'expired':
      return [h('span', { class: 'badge' }, 'Expired')];
    case 'unused':
      return [h('span', { class: 'badge badge-warning' }, 'Unused for 90 days')];
    case 'active':
      return [];
    default:
      return state satisfies never;
  }
}

function scopeOf(workflowId: string | null, workflows: WorkflowNames | null): readonly (string | Node)[] {
  if (workflowId === null) return [ALL_WORKFLOWS];
  const known = workflows?.names.get(workflowId);
  if (known !== undefined) return [h('bdi', { class: 'scope-name' }, known)];
  const id = h('code', {}, workflowId);
  return workflows?.deleted.has(workflowId) === true
    ? [id, h('span', { class: 'muted' }, ' (deleted workflow)')]
    : [id];
}

function timesOf(key: ApiKey, dates: DateFormat, at: number): readonly Node[] {
  const line = (words: string, iso: string, date: DateText, className = ''): HTMLElement =>
    h('p', { class: className }, `${words} `, h('time', { datetime: iso, title: date.exact }, date.text));
  const past = (words: string, iso: string): HTMLElement => line(words, iso, dates.past(Date.parse(iso), at));
  const used = key.last_used_at === null ? h('p', {}, 'Never used') : past('Last used', key.last_used_at);
  const lines: Child[] = [past('Created', key.created_at), used];
  if (key.revoked_at !== null) lines.push(past('Revoked', key.revoked_at));
  else if (key.expires_at !== null) {
    const expires = Date.parse(key.expires_at);
    const soon = expires - at < EXPIRES_SOON_MS ? 'warning' : '';
    if (expires <= at) lines.push(past('Expired', key.expires_at));
    else lines.push(line('Expires', key.expires_at, dates.future(expires, at), soon));
  }
  return lines.filter((node): node is Node => node instanceof Node);
}

const NOT_FOUND = {
  title: 'This key was not found',
  text: 'It may belong to another account, or be deleted.',
  final: true,
};

function explainRevocation(problem: ApiProblem): Explanation | null {
  if (problem.signedOut) return null;
  if (problem.status === 404) {
    return NOT_FOUND;
  }
  if (problem.unconfirmed) {
    return {
      title: 'Revoked, but not confirmed yet',
      text: 'The revocation is saved. It is not proven yet that every sidecar refuses the key, so treat it as still working until this has been tried again.',
    };
  }
  if (problem.uncertain) {
    return {
      title: 'It is not certain that the key is revoked',
      text: `${describeProblem(problem)} Treat it as still working until this has been tried again: revoking twice does no harm.`,
    };
  }
  return { title: 'The key was not revoked', text: describeProblem(problem), final: problem.status === 409 };
}

function explainRotation(problem: ApiProblem): Explanation | null {
  if (problem.signedOut) return null;
  if (problem.uncertain) {
    return {
      title: 'It is not certain that the key was rotated',
      text: `${describeProblem(problem)} If a new key stands in the list, revoke it: it could not be shown to you.`,
    };
  }
  if (problem.status === 404) return NOT_FOUND;
  return { title: 'The key was not rotated', text: describeProblem(problem), final: problem.status === 409 };
}
