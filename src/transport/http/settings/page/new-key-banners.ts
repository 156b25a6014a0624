import type { Announcer } from './announcer.js';
import type { CreatedApiKey } from './api.js';
import { h } from './dom.js';
import { createNewKeyBanner, type NewKeyBanner } from './new-key-banner.js';

/** What the banners need and whom they tell. */
export interface NewKeyBannersParts {
  readonly exampleUrl: string;
  readonly announcer: Announcer;
  /** The last banner was dismissed; the caller puts the focus somewhere else. */
  readonly onEmpty: () => void;
}

/** The new keys of this visit, newest first. A key that was not copied stays until it is dismissed or useless. */
export interface NewKeyBanners {
  readonly element: HTMLElement;
  /** A key is on the page that has not been copied. */
  readonly uncopied: boolean;
  /** Shows a new key, and goes there. */
  show(key: CreatedApiKey, note: string | null): void;
  /** Removes a key that nobody can use any more. */
  remove(id: string): void;
  /** Removes the keys that are not among these. */
  retain(ids: ReadonlySet<string>): void;
  /** Removes every raw key from the page. */
  clear(): void;
}

export function createNewKeyBanners({ exampleUrl, announcer, onEmpty }: NewKeyBannersParts): NewKeyBanners {
  const banners = new Map<string, NewKeyBanner>();
  const element = h('div', { class: 'banner-slot' });

  function remove(id: string): void {
    banners.get(id)?.clear();
    banners.delete(id);
  }

  function dismiss(id: string): void {
    remove(id);
    const next = element.querySelector<HTMLElement>('.banner');
    if (next === null) onEmpty();
    else next.focus();
  }

  return {
    element,
    get uncopied() {
      return [...banners.values()].some(({ uncopied }) => uncopied);
    },
    show(key, note) {
      for (const [id, { uncopied }] of banners) if (!uncopied) remove(id);
      const banner = createNewKeyBanner({ key, note, exampleUrl, announcer, onDismiss: () => dismiss(key.id) });
      banners.set(key.id, banner);
      element.prepend(banner.element);
      banner.element.focus();
    },
    remove,
    retain(ids) {
      for (const id of banners.keys()) if (!ids.has(id)) remove(id);
    },
    clear() {
      for (const id of banners.keys()) remove(id);
    },
  };
}
