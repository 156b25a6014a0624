import { createBusyButton } from './busy-button.js';
import { h } from './dom.js';
import { icon } from './icons.js';

/** Says that nobody is signed in, above a page whose contents stay: what was typed, and a key not yet copied. */
export interface SessionNotice {
  readonly element: HTMLElement;
  /** @param before the person had been signed in on this page */
  show(before: boolean): void;
  hide(): void;
}

/** @param check tries again; the notice hides when the caller says so */
export function createSessionNotice(check: () => Promise<void>): SessionNotice {
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
    show(before) {
      const title = before ? 'Your session has ended' : 'You are not signed in';
      const text = before
        ? 'Sign in again in another tab, then go on here: nothing you have typed is lost.'
        : 'Sign in to the platform in another tab, then go on here.';
      if (element.dataset.shown === title) return;
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
      delete element.dataset.shown;
      element.replaceChildren();
    },
  };
}
