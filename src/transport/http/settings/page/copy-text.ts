/**
 * Puts text on the clipboard; `false` when the browser does not allow it, with `source` selected for copying by hand.
 *
 * The clipboard API exists only on HTTPS and localhost, so the older command is the second attempt.
 */
export async function copyText(text: string, source: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const selection = getSelection();
    selection?.selectAllChildren(source);
    try {
      if (document.execCommand('copy')) {
        selection?.removeAllRanges();
        return true;
      }
    } catch {
      // The selection stays, and the caller says which keys to press.
    }
    return false;
  }
}
