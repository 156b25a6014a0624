import type { Workflow } from './api.js';
import { h, uniqueId } from './dom.js';
import { createField } from './field.js';
import { icon } from './icons.js';
import { ALL_WORKFLOWS, workflowLabels } from './workflow-labels.js';
import { createWorkflowSearch } from './workflow-search.js';

/** Up to this many workflows a plain select is quicker than a search. */
const SEARCH_ABOVE = 10;

/**
 * What a key is to act on: a workflow's id, or `null` for all of them. `undefined`: nothing is chosen, because the
 * chosen workflow is gone; it must never turn silently into all of them.
 */
export type Scope = string | null | undefined;

/** A select or a search, behind the scope field. */
export interface ScopeControl {
  /** What the label names and the focus goes to. */
  readonly control: HTMLElement;
  /** The control with what belongs around it. */
  readonly shown: HTMLElement;
  value(): Scope;
  /** A workflow that is not there leaves nothing chosen. */
  choose(scope: Scope): void;
}

/** Chooses what a key may act on. What was chosen outlives a new list of workflows. */
export interface ScopeField {
  readonly element: HTMLElement;
  value(): Scope;
  setWorkflows(workflows: readonly Workflow[]): void;
  /** Says that the workflows could not be loaded and offers another attempt. */
  setFailed(retry: () => void): void;
  setError(text: string | null): void;
  reset(): void;
  focus(): void;
}

export function createScopeField(): ScopeField {
  const element = h('div');
  const id = uniqueId('scope');
  const note = h('p', { class: 'field-note', hidden: true });
  let current = createWorkflowSelect([]);
  let known = '[]';
  let error: string | null = null;
  let showError = mount(current);

  function mount(next: ScopeControl): (text: string | null) => void {
    next.choose(current.value());
    const focused = current.control === document.activeElement;
    current = next;
    next.control.id = id;
    const field = createField({ label: 'Scope', control: next.control, shown: next.shown, extra: note });
    element.replaceChildren(field.element);
    field.setError(error);
    if (focused) next.control.focus();
    return field.setError;
  }

  return {
    element,
    value: () => current.value(),
    setWorkflows(workflows) {
      note.hidden = true;
      const list = JSON.stringify(workflows);
      // The control stays, with what is being typed in it, unless there is something new to choose from.
      if (list === known) return;
      known = list;
      const search = workflows.length > SEARCH_ABOVE;
      showError = mount(search ? createWorkflowSearch(workflows) : createWorkflowSelect(workflows));
    },
    setFailed(retry) {
      const again = h('button', { type: 'button', class: 'link', onclick: retry }, 'Try again');
      note.replaceChildren('Your workflows could not be loaded. ', again);
      note.hidden = false;
    },
    setError(text) {
      error = text;
      showError(text);
    },
    reset: () => current.choose(null),
    focus: () => current.control.focus(),
  };
}

function createWorkflowSelect(workflows: readonly Workflow[]): ScopeControl {
  const select = h('select', { class: 'input' }, h('option', { value: '' }, ALL_WORKFLOWS));
  for (const { id, label } of workflowLabels(workflows)) select.append(h('option', { value: id }, label));
  return {
    control: select,
    shown: h('div', { class: 'select' }, select, icon('chevron')),
    value: () => (select.selectedIndex < 0 ? undefined : select.value === '' ? null : select.value),
    choose(scope) {
      if (scope === undefined) select.selectedIndex = -1;
      else select.value = scope ?? '';
    },
  };
}
