import { close, constants, fstat, fstatSync, open, write } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import type { LineSink } from './line-queue.ts';

type Done = (error: Error | null) => void;

/** Streams with an error listener, which is never removed, since an error may follow the last write. */
const guardedStreams = new WeakSet<Writable>();

/** Writes lines to a Node stream. The stream buffers one write at most; errors are passed to `done`. */
export function streamSink(stream: Writable): LineSink {
  if (!guardedStreams.has(stream)) {
    guardedStreams.add(stream);
    // Without a listener EPIPE would end the process; each write receives its own error.
    stream.on('error', () => {});
  }
  return {
    write: (text, done) => {
      stream.write(text, (error) => done(error ?? null));
    },
  };
}

/**
 * Writes lines to stderr without blocking the event loop. Node writes to pipes asynchronously but to files
 * synchronously, so files use the thread pool. Pipes must not: a write that the reader does not accept would block a
 * thread, and with it the exit of the process.
 */
export function stderrSink(): LineSink {
  return isFile(2) ? descriptorSink(2) : streamSink(process.stderr);
}

function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
}

function descriptorSink(descriptor: number): LineSink {
  const state: WriteState = { isMidLine: false };
  return { write: (text, done) => writeAll(descriptor, state, text, done) };
}

export interface FileSink extends LineSink {
  /** Closes the file; the next write reopens the path (after a rotation by rename). */
  reopen(): void;
}

/**
 * Opens without waiting for a reader: opening a pipe without one would block a thread of the pool, and with it the exit of the process.
 * Such a pipe fails with ENXIO and is retried later. The flag has no effect on files and devices.
 */
const appendFlags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

/** The open file. */
interface OpenFile {
  write(text: string, done: Done): void;
  close(): void;
}

/** Appends lines to a file or a named pipe, opened at the first write. A failed write closes it, and the next one reopens it. */
export function fileSink(path: string): FileSink {
  const state: WriteState = { isMidLine: false };
  let file: OpenFile | null = null;
  let isWriting = false;
  let mustClose = false;

  function release(): void {
    if (isWriting) {
      mustClose = true;
      return;
    }
    mustClose = false;
    file?.close();
    file = null;
  }

  function finish(error: Error | null, done: Done): void {
    isWriting = false;
    if (error !== null || mustClose) release();
    done(error);
  }

  return {
    write(text, done) {
      isWriting = true;
      if (file !== null) return file.write(text, (error) => finish(error, done));
      openPath(path, state, (error, opened) => {
        if (opened === null) return finish(error, done);
        file = opened;
        file.write(text, (failure) => finish(failure, done));
      });
    },
    reopen: release,
    close: release,
  };
}

function openPath(path: string, state: WriteState, done: (error: Error | null, opened: OpenFile | null) => void): void {
  open(path, appendFlags, 0o640, (error, descriptor) => {
    if (error !== null) return done(error, null);
    fstat(descriptor, (fault, stats) => {
      if (fault === null) return done(null, stats.isFIFO() ? openPipe(descriptor) : openRegular(descriptor, state));
      close(descriptor, () => {});
      done(fault, null);
    });
  });
}

function openRegular(descriptor: number, state: WriteState): OpenFile {
  return { write: (text, done) => writeAll(descriptor, state, text, done), close: () => close(descriptor, () => {}) };
}

/** The event loop waits for a slow reader; no thread is blocked. */
function openPipe(descriptor: number): OpenFile {
  const socket = new Socket({ fd: descriptor, readable: false, writable: true });
  // It does not keep the process alive.
  socket.unref();
  const sink = streamSink(socket);
  return { write: (text, done) => sink.write(text, done), close: () => socket.destroy() };
}

interface WriteState {
  /** The last write ended inside a line: the next one starts with a line break, so that only one line is damaged. */
  isMidLine: boolean;
}

function writeAll(descriptor: number, state: WriteState, text: string, done: Done): void {
  const bytes = Buffer.from(state.isMidLine ? `\n${text}` : text);
  const writeFrom = (offset: number): void => {
    write(descriptor, bytes, offset, bytes.length - offset, null, (error, written) => {
      if (error !== null) return done(error);
      const end = offset + written;
      state.isMidLine = bytes[end - 1] !== newline;
      if (end < bytes.length) writeFrom(end);
      else done(null);
    });
  };
  writeFrom(0);
}

const newline = 0x0a;
