/** Why a store is degraded. */
export const STORE_FAULTS = [
  'unavailable', // can't be opened: missing folder, not a file
  'read_only',
  'locked', // another connection holds the lock for too long
  'corrupt', // damaged, or not a database
  'foreign', // a database of another program
  'replaced', // its file was deleted, replaced or overwritten while it was in use
  'newer_version', // written by a newer Breakwater
  'full', // no space left
  'io_error',
  'timeout', // no result in time: a slow or hung disk
  'crashed', // the connection or its worker failed
] as const;
export type StoreFault = (typeof STORE_FAULTS)[number];
