/** The C library's `malloc_trim`, through Node's foreign function interface. */

/**
 * Returns the free memory of malloc to the system. Without it glibc keeps what lies below a block in use: some 50 MB after a load of a few seconds.
 * Does nothing where the function is not available: in versions of Node without the interface and with C libraries other than glibc.
 */
export function trimMalloc(): void {
  trim ??= load();
  trim();
}

let trim: (() => void) | null = null;

function load(): () => void {
  const emitWarning = Object.getOwnPropertyDescriptor(process, 'emitWarning')!;
  // The interface is experimental, and Node prints a warning when it is loaded.
  process.emitWarning = () => {};
  try {
    const { dlopen } = process.getBuiltinModule('node:ffi');
    const library = dlopen(null, { malloc_trim: { arguments: ['uint64'], return: 'int32' } });
    return () => void library.functions.malloc_trim(0n);
  } catch {
    return () => {};
  } finally {
    Object.defineProperty(process, 'emitWarning', emitWarning);
  }
}
