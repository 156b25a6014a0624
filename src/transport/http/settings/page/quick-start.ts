import type { Announcer } from './announcer.js';
import { createCopyButton } from './copy-button.js';
import { h, setAttribute, uniqueId } from './dom.js';
import { LANGUAGES, type Language, type SnippetParts, snippet, variableName } from './snippets.js';

/** Programs that use a key, in tabs: the arrow keys move between languages, Tab goes on to the program. */
export function createQuickStart(parts: SnippetParts, announcer: Announcer): HTMLElement {
  const panelId = uniqueId('snippet');
  const code = h('code');
  const panel = h('pre', { class: 'snippet', id: panelId, role: 'tabpanel', tabindex: 0 }, code);
  let current: Language = LANGUAGES[0];

  const tabs = LANGUAGES.map((language) => {
    const id = uniqueId('tab');
    const tab = h('button', { type: 'button', class: 'tab', role: 'tab', id, 'aria-controls': panelId }, language);
    tab.addEventListener('click', () => select(language));
    return { language, tab };
  });

  function select(language: Language): void {
    current = language;
    code.textContent = snippet(language, parts);
    for (const { language: other, tab } of tabs) {
      const chosen = other === language;
      tab.setAttribute('aria-selected', String(chosen));
      setAttribute(tab, 'tabindex', chosen ? null : '-1');
      if (chosen) panel.setAttribute('aria-labelledby', tab.id);
    }
  }

  const list = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Language' }, ...tabs.map(({ tab }) => tab));
  list.addEventListener('keydown', (event) => {
    const at = LANGUAGES.indexOf(current);
    const last = LANGUAGES.length - 1;
    const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[
      event.key
    ];
    if (next === undefined) return;
    event.preventDefault();
    select(LANGUAGES[next] ?? current);
    tabs[next]?.tab.focus();
  });
  const copy = createCopyButton({
    label: 'Copy code',
    className: 'button-quiet button-small',
    text: () => snippet(current, parts),
    source: code,
    said: 'The code is on the clipboard.',
    announcer,
  });
  select(current);

  return h(
    'details',
    { class: 'quick-start' },
    h('summary', {}, 'Quick start'),
    h(
      'p',
      { class: 'field-note' },
      'Put the key in the environment variable ',
      h('code', {}, variableName(parts.keyName)),
      ', never in the code, and replace the address with that of the API you call.',
    ),
    h('div', { class: 'quick-start-bar' }, list, copy),
    panel,
  );
}
