import type { Workflow } from './api.js';
import { h, setAttribute, uniqueId } from './dom.js';
import { icon } from './icons.js';
import type { Scope, ScopeControl } from './scope-field.js';
import { ALL_WORKFLOWS, workflowLabels } from './workflow-labels.js';

/** Most options in the list at once; a longer list is searched, not scrolled. */
const OPTIONS_MAX = 100;

interface Choice {
  readonly id: string | null;
  readonly label: string;
}

/**
 * A text field that narrows a list of workflows as one types: the editable combobox of the ARIA practices, whose focus
 * stays in the field while the arrow keys move through the list.
 *
 * Closed, it shows what is chosen. Open, it shows what is typed; Enter or a click chooses, Escape keeps what was chosen
 * before. Leaving takes the option that was moved to, or the workflow that the text can only mean; where the text means
 * none or several, nothing is chosen, and it stays to be read. All workflows are never chosen by a part of their name.
 */
export function createWorkflowSearch(workflows: readonly Workflow[]): ScopeControl {
  const choices: readonly Choice[] = [{ id: null, label: ALL_WORKFLOWS }, ...workflowLabels(workflows)];
  const listId = uniqueId('workflows');
  // Not a stop of the Tab key, which browsers make of what scrolls: it would be gone when the focus arrives.
  const list = h('ul', { id: listId, class: 'options', role: 'listbox', 'aria-label': 'Workflows', tabindex: -1 });
  const note = h('p', { class: 'options-note', role: 'status' });
  const popup = h('div', { class: 'options-popup', hidden: true }, list, note);
  const input = h('input', {
    type: 'text',
    class: 'input',
    role: 'combobox',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-autocomplete': 'list',
    'aria-expanded': 'false',
    'aria-controls': listId,
  });
  const shown = h('div', { class: 'select combobox' }, input, icon('chevron'), popup);

  let chosen: Choice | undefined = choices[0];
  let options: readonly { readonly choice: Choice; readonly element: HTMLElement }[] = [];
  let active = -1;
  /** What was done in the field since something was last chosen. */
  let pending: 'nothing' | 'typed' | 'moved' = 'nothing';

  const isOpen = (): boolean => !popup.hidden;

  function showChosen(): void {
    input.value = chosen?.label ?? '';
  }

  /** What would be chosen if the field were left now. */
  function meant(): Choice | undefined {
    switch (pending) {
      case 'nothing':
        return chosen;
      case 'moved':
        return options[active]?.choice;
      case 'typed': {
        const found = matching(input.value);
        const text = folded(input.value);
        const named = found.filter(({ label }) => folded(label) === text);
        if (named.length > 0) return named.length === 1 ? named[0] : undefined;
        return found.length === 1 && found[0]?.id !== null ? found[0] : undefined;
      }
      default:
        return pending satisfies never;
    }
  }

  function matching(text: string): readonly Choice[] {
    const wanted = folded(text);
    return choices.filter(({ label }) => folded(label).includes(wanted));
  }

  function setActive(index: number): void {
    const before = options[active]?.element;
    if (before !== undefined) before.classList.remove('is-active');
    active = index;
    const option = options[index]?.element;
    option?.classList.add('is-active');
    option?.scrollIntoView({ block: 'nearest' });
    setAttribute(input, 'aria-activedescendant', option?.id ?? null);
  }

  function fill(query: string): void {
    const wanted = folded(query);
    const matches = matching(query);
    options = matches.slice(0, OPTIONS_MAX).map((choice) => {
      const element = h(
        'li',
        {
          id: uniqueId('option'),
          class: 'option',
          role: 'option',
          'aria-selected': choice === chosen ? 'true' : 'false',
          onclick: () => choose(choice),
        },
        h('bdi', { class: 'option-label' }, choice.label),
        choice === chosen && icon('check'),
      );
      return { choice, element };
    });
    list.replaceChildren(...options.map(({ element }) => element));
    list.hidden = options.length === 0;
    const hidden = matches.length - options.length;
    if (options.length === 0) note.textContent = 'No workflow has this in its name.';
    else if (hidden > 0) note.textContent = `${hidden} more. Type a part of the name.`;
    else note.textContent = wanted === '' ? '' : `${matches.length} of ${choices.length}`;
    note.hidden = note.textContent === '';
    setActive(wanted === '' ? options.findIndex(({ choice }) => choice === chosen) : options.length > 0 ? 0 : -1);
  }

  function open(query: string): void {
    popup.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    fill(query);
  }

  function close(): void {
    popup.hidden = true;
    input.setAttribute('aria-expanded', 'false');
    setActive(-1);
    pending = 'nothing';
  }

  function choose(choice: Choice | undefined): void {
    chosen = choice;
    close();
    // A text that means nothing stays, so that it can be mended.
    if (choice !== undefined) showChosen();
    input.dispatchEvent(new Event('change', { bubbles: true }));
  }

  function cancel(): void {
    close();
    showChosen();
  }

  function leave(): void {
    if (pending !== 'nothing') choose(meant());
    else if (chosen !== undefined) cancel();
    else close();
  }

  input.addEventListener('click', () => {
    if (isOpen()) return;
    open('');
    input.select();
  });
  input.addEventListener('input', () => {
    open(input.value);
    pending = folded(input.value) === '' ? 'nothing' : 'typed';
  });
  input.addEventListener('blur', leave);
  // A press on the list must not take the focus from the field.
  popup.addEventListener('mousedown', (event) => event.preventDefault());
  input.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    switch (event.key) {
      case 'ArrowDown':
      case 'ArrowUp': {
        event.preventDefault();
        if (!isOpen()) {
          open('');
          input.select();
          return;
        }
        const step = event.key === 'ArrowDown' ? 1 : -1;
        if (options.length === 0) return;
        setActive((active + step + options.length) % options.length);
        pending = 'moved';
        return;
      }
      case 'Enter': {
        if (!isOpen()) return;
        event.preventDefault();
        const option = options[active];
        if (option !== undefined) choose(option.choice);
        return;
      }
      case 'Escape':
        if (!isOpen()) return;
        event.preventDefault();
        cancel();
        input.select();
        return;
    }
  });
  showChosen();

  return {
    control: input,
    shown,
    value: (): Scope => meant()?.id,
    choose(scope) {
      chosen = scope === undefined ? undefined : choices.find(({ id }) => id === scope);
      cancel();
    },
  };
}

/** Text as it is compared: without case, and without space around it. */
function folded(text: string): string {
  return text.trim().toLocaleLowerCase();
}
