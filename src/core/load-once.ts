/** Makes something at the first call and keeps it. What was rejected is not kept: the next call tries again. */
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
