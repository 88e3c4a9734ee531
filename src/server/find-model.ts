/** Stands in until `wire` finds the model of a byte body. */
export function findModel(bytes: Uint8Array, contentType: string | null): string | null {
  if (contentType !== null && !contentType.includes('json')) return null;
  try {
    const { model } = JSON.parse(Buffer.from(bytes).toString()) as { model?: unknown };
    return typeof model === 'string' && model !== '' ? model : null;
  } catch {
    return null;
  }
}
