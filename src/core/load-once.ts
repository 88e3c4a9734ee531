/** Loads a value at the first call and caches it. A rejection is not cached: the next call tries again. */
export function loadOnce<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | null = null;
  return () => {
    if (loading !== null) return loading;
    const started = load();
    loading = started;
    started.catch(() => {
      if (loading === started) loading = null;
    });
    return started;
  };
}
