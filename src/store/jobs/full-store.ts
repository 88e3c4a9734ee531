/** Why nothing more is taken: what is kept exceeds a limit, in bytes. `isShare`: the one of a client. */
export function fullStore(bytesMax: number, isShare: boolean): string {
  const megabytes = `${Math.round(bytesMax / 1024 / 1024)} MB`;
  return isShare
    ? `files and batches of this client take more than its share of batch.maxBytes, ${megabytes}`
    : `files and batches take more than batch.maxBytes, ${megabytes}`;
}
