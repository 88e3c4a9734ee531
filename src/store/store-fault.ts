/** Why a store is degraded. */
export const STORE_FAULTS = [
  'unavailable', // can't be opened: no such folder, not a file
  'read_only',
  'locked', // another connection holds it for longer than we wait
  'corrupt', // damaged, or not a database
  'foreign', // a sound database that isn't ours
  'replaced', // its file was deleted, replaced or overwritten while it was in use
  'newer_version', // written by a newer Breakwater
  'full', // no space left
  'io_error',
  'timeout', // no answer in time: a slow or hung disk
  'crashed', // the connection or its worker died
] as const;
export type StoreFault = (typeof STORE_FAULTS)[number];
