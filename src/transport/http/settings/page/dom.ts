/** What {@link h} sets on an element: attributes, or listeners under a key that begins with `on`. */
export type Attributes = Readonly<
  Record<string, string | number | boolean | null | undefined | ((event: never) => void)>
>;

/** A child of an element; text is always inserted as text. `null`, `undefined` and `false` add nothing. */
export type Child = Node | string | null | undefined | false;

/**
 * Creates an element. Strings become text nodes and never markup, so that a key named `<b>` is shown as it was typed.
 *
 * `true` sets an empty attribute; `false`, `null` and `undefined` set none.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  for (const child of children) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

let lastId = 0;

/** An id that no other element of this page has. */
export function uniqueId(stem: string): string {
  lastId += 1;
  return `${stem}-${lastId}`;
}

/** Sets or removes an attribute. */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}
