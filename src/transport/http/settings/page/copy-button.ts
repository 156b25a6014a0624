import type { Announcer } from './announcer.js';
import { copyText } from './copy-text.js';
import { h } from './dom.js';
import { icon } from './icons.js';

/** How long the button says what happened, in ms. */
const FEEDBACK_MS = 2500;

/** What a copy button copies, and how it tells. */
export interface CopyButtonParts {
  readonly label: string;
  readonly className: string;
  readonly text: () => string;
  /** The element that shows the text; it is selected when copying is not allowed. */
  readonly source: HTMLElement;
  /** Said to screen readers after a copy. */
  readonly said: string;
  readonly announcer: Announcer;
  readonly onCopied?: () => void;
}

/** A button that copies text and says for a moment that it did. */
export function createCopyButton(parts: CopyButtonParts): HTMLButtonElement {
  const label = h('span', {}, parts.label);
  const button = h('button', { type: 'button', class: `button ${parts.className}` }, icon('copy'), label);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = (text: string, shape: 'check' | 'copy'): void => {
    label.textContent = text;
    button.querySelector('svg')?.replaceWith(icon(shape));
  };
  async function copy(): Promise<void> {
    const copied = await copyText(parts.text(), parts.source);
    clearTimeout(timer);
    if (copied) {
      show('Copied', 'check');
      parts.announcer.say(parts.said);
      parts.onCopied?.();
    } else {
      const keys = /mac/i.test(navigator.userAgent) ? '⌘C' : 'Ctrl+C';
      show(`Press ${keys}`, 'copy');
      parts.announcer.say(`Copying is not allowed here. The text is selected: press ${keys}.`);
    }
    timer = setTimeout(() => show(parts.label, 'copy'), FEEDBACK_MS);
  }
  button.addEventListener('click', () => void copy());
  return button;
}
