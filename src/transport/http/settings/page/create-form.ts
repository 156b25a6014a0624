import type { CreatedApiKey, KeyOrder, Workflow } from './api.js';
import { ApiProblem } from './api-problem.js';
import { createBusyButton } from './busy-button.js';
import type { DateFormat } from './dates.js';
import { describeProblem } from './describe-problem.js';
import { h } from './dom.js';
import { createExpiryField } from './expiry-field.js';
import { createField } from './field.js';
import { createAlert } from './notice.js';
import { createPermissionsField } from './permissions-field.js';
import { createScopeField } from './scope-field.js';

/** Most characters of a name, as REST counts them. */
const NAME_MAX = 100;

const NO_SCOPE = 'Choose what the key may act on.';

/** What the form needs and whom it tells. */
export interface CreateFormParts {
  readonly dates: DateFormat;
  readonly create: (order: KeyOrder) => Promise<CreatedApiKey>;
  readonly onCreated: (key: CreatedApiKey) => void;
  /** The session is missing or has ended; what was typed stays. */
  readonly onSignedOut: () => void;
  /** The chosen workflow is gone. */
  readonly onWorkflowGone: () => void;
  /** The key may or may not have been created. */
  readonly onUncertain: () => void;
}

/** The form that creates a key. */
export interface CreateForm {
  readonly element: HTMLElement;
  setWorkflows(workflows: readonly Workflow[]): void;
  setWorkflowsFailed(retry: () => void): void;
  /** Forgets all that was typed and chosen. */
  reset(): void;
}

export function createCreateForm(parts: CreateFormParts): CreateForm {
  const name = h('input', {
    type: 'text',
    class: 'input',
    placeholder: 'e.g. My Dashboard App',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-required': 'true',
  });
  const nameField = createField({ label: 'Key Name', control: name });
  const scope = createScopeField();
  const expiry = createExpiryField(parts.dates);
  const permissions = createPermissionsField();
  const submit = createBusyButton({
    label: 'Create',
    busyLabel: 'Creating…',
    className: 'button-primary',
    type: 'submit',
  });
  const alerts = h('div', { class: 'form-alerts' });

  /** The fields by their names in REST, in the order in which they are read. */
  const fields = [
    { key: 'name', setError: nameField.setError, focus: () => name.focus() },
    { key: 'workflow_id', setError: scope.setError, focus: scope.focus },
    { key: 'expires_at', setError: expiry.setError, focus: expiry.focus },
    { key: 'permissions', setError: permissions.setError, focus: permissions.focus },
  ] as const;

  /** Shows errors at their fields and goes to the first; `false` when none of them has a field here. */
  function showErrors(errors: ReadonlyMap<string, string>): boolean {
    let first: (() => void) | null = null;
    for (const field of fields) {
      const text = errors.get(field.key) ?? null;
      field.setError(text);
      if (text !== null) first ??= field.focus;
    }
    first?.();
    return first !== null;
  }

  /** What was chosen, or `null` after showing what is wrong with it. */
  function read(): KeyOrder | null {
    const errors = new Map<string, string>();
    const trimmed = name.value.trim();
    if (trimmed === '') errors.set('name', 'Give the key a name, so that you know later what uses it.');
    else if ([...trimmed].length > NAME_MAX) errors.set('name', `Use at most ${NAME_MAX} characters.`);
    const workflowId = scope.value();
    if (workflowId === undefined) errors.set('workflow_id', NO_SCOPE);
    const until = expiry.value();
    if ('problem' in until) errors.set('expires_at', until.problem);
    const allowed = permissions.value();
    if (allowed.length === 0) errors.set('permissions', 'Choose at least one permission.');
    if (showErrors(errors) || workflowId === undefined || 'problem' in until) return null;
    return { name: trimmed, workflow_id: workflowId, permissions: allowed, expires_at: until.at };
  }

  function showProblem(problem: ApiProblem, order: KeyOrder): void {
    if (problem.signedOut) {
      parts.onSignedOut();
      return;
    }
    if (problem.status === 404 && order.workflow_id !== null) {
      parts.onWorkflowGone();
      showErrors(new Map([['workflow_id', 'This workflow no longer exists. Choose another scope.']]));
      return;
    }
    if (problem.status === 422 && showErrors(sentences(problem.fields))) return;
    if (problem.uncertain) {
      parts.onUncertain();
      alerts.replaceChildren(
        createAlert(
          h('p', { class: 'notice-title' }, 'It is not certain whether the key was created'),
          h('p', {}, `${describeProblem(problem)} If it is in the list below, revoke it and create another.`),
        ),
      );
      return;
    }
    alerts.replaceChildren(
      createAlert(h('p', { class: 'notice-title' }, 'The key was not created'), h('p', {}, describeProblem(problem))),
    );
  }

  async function send(): Promise<void> {
    if (submit.busy) return;
    alerts.replaceChildren();
    const order = read();
    if (order === null) return;
    submit.setBusy(true);
    try {
      const key = await parts.create(order);
      reset();
      parts.onCreated(key);
    } catch (error) {
      showProblem(ApiProblem.of(error), order);
    } finally {
      submit.setBusy(false);
    }
  }

  function reset(): void {
    alerts.replaceChildren();
    showErrors(new Map());
    name.value = '';
    scope.reset();
    expiry.reset();
    permissions.reset();
  }

  name.addEventListener('input', () => nameField.setError(null));
  scope.element.addEventListener('change', () => scope.setError(scope.value() === undefined ? NO_SCOPE : null));
  permissions.element.addEventListener('change', () => permissions.setError(null));

  const form = h(
    'form',
    { class: 'card form', novalidate: true, 'aria-labelledby': 'create-heading' },
    h('h2', { id: 'create-heading' }, 'Create an API key'),
    h('div', { class: 'form-row' }, nameField.element, scope.element, expiry.element),
    permissions.element,
    alerts,
    h(
      'div',
      { class: 'form-footer' },
      h('p', { class: 'field-note' }, 'The key is shown once. Afterwards only its first 12 characters can be seen.'),
      submit.element,
    ),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void send();
  });

  return {
    element: form,
    setWorkflows: (workflows) => scope.setWorkflows(workflows),
    setWorkflowsFailed: (retry) => scope.setFailed(retry),
    reset,
  };
}

/** The server's fragments (`must not be blank`) as sentences. */
function sentences(fields: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map(
    [...fields].map(([field, text]) => {
      const sentence = text.charAt(0).toUpperCase() + text.slice(1);
      return [field, /[.!?]$/.test(sentence) ? sentence : `${sentence}.`];
    }),
  );
}
