/** Copies a text; where the browser does not let a page do so, selects the element that shows it. Returns whether it was copied. */
export async function copy(text: string, shown: HTMLElement): Promise<boolean> {
  try {
    // Offered on safe origins only, whatever its type says.
    const clipboard = navigator.clipboard as Clipboard | undefined;
    if (clipboard !== undefined) {
      await clipboard.writeText(text);
      return true;
    }
  } catch {
    // not allowed here: selected instead
  }
  window.getSelection()?.selectAllChildren(shown);
  return false;
}
