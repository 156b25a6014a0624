import { h } from './dom.js';

/** A button that can be waiting: it keeps the focus, says so, and ignores clicks meanwhile. */
export interface BusyButton {
  readonly element: HTMLButtonElement;
  readonly busy: boolean;
  setBusy(busy: boolean): void;
  setLabel(label: string): void;
}

/** What a busy button says and does. */
export interface BusyButtonParts {
  readonly label: string;
  readonly busyLabel: string;
  readonly className: string;
  readonly type?: 'button' | 'submit';
  /** Must not reject. */
  readonly onClick?: () => void | Promise<void>;
}

export function createBusyButton(parts: BusyButtonParts): BusyButton {
  const text = h('span', {}, parts.label);
  const element = h('button', { type: parts.type ?? 'button', class: `button ${parts.className}` }, text);
  let label = parts.label;
  let busy = false;
  function show(): void {
    text.textContent = busy ? parts.busyLabel : label;
    element.classList.toggle('is-busy', busy);
    // `disabled` would take the focus away from under the person who pressed it.
    if (busy) element.setAttribute('aria-disabled', 'true');
    else element.removeAttribute('aria-disabled');
  }
  element.addEventListener('click', (event) => {
    if (busy) event.preventDefault();
    else void parts.onClick?.();
  });
  return {
    element,
    get busy() {
      return busy;
    },
    setBusy(value) {
      busy = value;
      show();
    },
    setLabel(value) {
      label = value;
      show();
    },
  };
}
