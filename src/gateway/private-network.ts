const OWN_NAME = /^[^.]+$|\.(?:local|localhost|internal|intranet|lan|home|corp|svc|private)$/;
const OWN_ADDRESS =
  /^(?:127|10)\.|^0\.0\.0\.0$|^192\.168\.|^169\.254\.|^172\.(?:1[6-9]|2\d|3[01])\.|^100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|^\[(?:::1|f[cde])/;

/** Whether a host is on a private network, by name or address. Such servers limit concurrency, if anything, and not rates. */
export function isPrivateNetwork(host: string): boolean {
  return OWN_ADDRESS.test(host) || (!/^[\d.]+$|^\[/.test(host) && OWN_NAME.test(host.replace(/\.$/, '').toLowerCase()));
}
