import { ApiProblem } from './api-problem.js';
import { createBusyButton } from './busy-button.js';
import { type Child, h, uniqueId } from './dom.js';
import { createAlert } from './notice.js';

/** What a confirmation asks and does. */
export interface ConfirmPanelParts {
  readonly question: readonly Child[];
  /** The level below the heading that the question stands under. Default: `h4`, inside a row. */
  readonly heading?: 'h3' | 'h4';
  readonly body: readonly Child[];
  readonly action: { readonly label: string; readonly busyLabel: string; readonly className: string };
  readonly keepLabel: string;
  /** What gets the focus: the safe answer when the action cannot be undone. */
  readonly focus: 'keep' | 'body';
  readonly run: () => Promise<void>;
  /** What to show for a failure; `null` when it is shown elsewhere. */
  readonly explain: (problem: ApiProblem) => Explanation | null;
  /** Asked to go away; the caller puts the focus back. */
  readonly onClose: () => void;
}

/** A failure, for people. */
export interface Explanation {
  readonly title: string;
  readonly text: string;
  /** Another attempt can only end in the same way, so none is offered. */
  readonly final?: boolean;
}

/** A question beside what it is about; the rest of the page stays usable. */
export interface ConfirmPanel {
  readonly element: HTMLElement;
  readonly busy: boolean;
  focus(): void;
}

export function createConfirmPanel(parts: ConfirmPanelParts): ConfirmPanel {
  const headingId = uniqueId('question');
  const alerts = h('div');
  const act = createBusyButton({ ...parts.action, onClick: run });
  const keep = h('button', { type: 'button', class: 'button button-quiet' }, parts.keepLabel);
  const element = h(
    'div',
    { class: 'panel', role: 'group', 'aria-labelledby': headingId },
    h(parts.heading ?? 'h4', { class: 'panel-question', id: headingId }, ...parts.question),
    ...parts.body,
    alerts,
    h('div', { class: 'panel-actions' }, act.element, keep),
  );

  async function run(): Promise<void> {
    alerts.replaceChildren();
    act.setBusy(true);
    try {
      await parts.run();
    } catch (error) {
      const explained = parts.explain(ApiProblem.of(error));
      if (explained !== null) {
        alerts.replaceChildren(
          createAlert(h('p', { class: 'notice-title' }, explained.title), h('p', {}, explained.text)),
        );
        act.setLabel('Try again');
        if (explained.final === true) {
          if (document.activeElement === act.element) keep.focus();
          act.element.hidden = true;
        }
        // It may have been done all the same: there is nothing left to promise.
        keep.textContent = 'Close';
      }
    } finally {
      act.setBusy(false);
    }
  }

  function close(): void {
    // While the call is under way its outcome must stay visible.
    if (!act.busy) parts.onClose();
  }
  keep.addEventListener('click', close);
  element.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
  });

  return {
    element,
    get busy() {
      return act.busy;
    },
    focus() {
      const first = parts.focus === 'body' ? element.querySelector<HTMLElement>('select, input') : null;
      (first ?? keep).focus();
    },
  };
}
