/** Separates a namespace from a tool name in dialects without namespaces. */
const NAMESPACE_MARK = '__';

/** The name of a namespaced tool in a dialect without namespaces. */
export function flatToolName(namespace: string | null, name: string): string {
  return namespace === null ? name : `${namespace}${NAMESPACE_MARK}${name}`;
}
