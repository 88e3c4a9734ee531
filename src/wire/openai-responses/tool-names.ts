/** Between a namespace and the name of a tool in it, where another dialect knows no namespaces. */
const NAMESPACE_MARK = '__';

/** The name that a tool has in a dialect without namespaces. */
export function flatToolName(namespace: string | null, name: string): string {
  return namespace === null ? name : `${namespace}${NAMESPACE_MARK}${name}`;
}
