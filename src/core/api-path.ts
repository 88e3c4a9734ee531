/** Whether a request path belongs to the API for callers: not the page, the admin API, metrics, or a request that is not valid HTTP. */
export function isApiPath(path: string): boolean {
  return path.startsWith('/v1/') || path.startsWith('/v1beta/');
}
