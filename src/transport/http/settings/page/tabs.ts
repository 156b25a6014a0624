/** Other tabs of this origin that show the same page; they are told that something changed, never what. */
const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('latchkey-keys');

/** Tells the other tabs to read the list again. */
export function tellOtherTabs(): void {
  channel?.postMessage('changed');
}

/** Calls `run` after a change in another tab, and when the page comes to the front after it was away. */
export function onChangeElsewhere(run: () => void): void {
  channel?.addEventListener('message', run);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) run();
  });
}
