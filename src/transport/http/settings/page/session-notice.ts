import { createBusyButton } from './busy-button.js';
import { h } from './dom.js';
import { icon } from './icons.js';

/** Says that nobody is signed in, above a page whose contents stay: what was typed, and a key not yet copied. */
export interface SessionNotice {
  readonly element: HTMLElement;
  /** @param signedInBefore on this page */
  show(signedInBefore: boolean): void;
  hide(): void;
}

/** What the notice does. */
export interface SessionNoticeParts {
  /** Tries again; the notice hides when the caller says so. Must not reject. */
  readonly check: () => Promise<void>;
  /** Takes the focus where the notice had it, and nothing had it before. */
  readonly focusElsewhere: () => void;
}

export function createSessionNotice({ check, focusElsewhere }: SessionNoticeParts): SessionNotice {
  /** What had the focus when the notice came. */
  let before: Element | null = null;
  const element = h('div', { class: 'session-slot', role: 'alert' });
  const again = createBusyButton({
    label: 'I have signed in',
    busyLabel: 'Checking…',
    className: 'button-primary',
    async onClick() {
      again.setBusy(true);
      await check();
      again.setBusy(false);
    },
  });
  const reload = h(
    'button',
    { type: 'button', class: 'button button-quiet', onclick: () => location.reload() },
    'Reload',
  );
  return {
    element,
    show(signedInBefore) {
      const title = signedInBefore ? 'Your session has ended' : 'You are not signed in';
      const text = signedInBefore
        ? 'Sign in again in another tab, then go on here: nothing you have typed is lost.'
        : 'Sign in to the platform in another tab, then go on here.';
      if (element.dataset.shown === title) return;
      if (!element.contains(document.activeElement)) before = document.activeElement;
      element.dataset.shown = title;
      element.replaceChildren(
        h(
          'div',
          { class: 'notice notice-warning' },
          icon('warning'),
          h(
            'div',
            {},
            h('p', { class: 'notice-title' }, title),
            h('p', {}, text),
            h('div', { class: 'notice-actions' }, again.element, reload),
          ),
        ),
      );
    },
    hide() {
      const focused = element.contains(document.activeElement);
      delete element.dataset.shown;
      element.replaceChildren();
      if (!focused) return;
      if (before instanceof HTMLElement && before !== document.body && before.isConnected) before.focus();
      else focusElsewhere();
    },
  };
}
