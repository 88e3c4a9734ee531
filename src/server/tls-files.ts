/** Reads and validates the certificate and private key of `server.tls`. */
import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dayOf } from '../core/day.ts';

/** PEM texts. */
export interface TlsFiles {
  /** The certificate, followed by its chain. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** The end of the certificate's validity, as Unix time in milliseconds. */
  readonly validUntilMs: number;
}

/** Paths; both empty: TLS is off. */
export interface TlsPaths {
  readonly cert: string;
  readonly key: string;
}

/** A file that cannot be used; the message names the setting, and contains nothing of the file. */
export class TlsFault extends Error {
  override readonly name = 'TlsFault';
}

/** Throws `TlsFault`. */
export function readTlsFiles(paths: TlsPaths): TlsFiles {
  const cert = read('server.tls.cert', paths.cert);
  const key = read('server.tls.key', paths.key);
  const certificate = parseCertificate(cert, paths.cert);
  if (!certificate.checkPrivateKey(parseKey(key, paths.key)))
    throw new TlsFault(`server.tls: the key ${paths.key} does not belong to the certificate ${paths.cert}`);
  return { cert, key, validUntilMs: Date.parse(certificate.validTo) };
}

/** Describes a certificate that has expired; null: it is valid. */
export function expiryWarning({ validUntilMs }: TlsFiles, epochMs: number): string | null {
  if (validUntilMs > epochMs) return null;
  return `server.tls.cert: the certificate expired on ${dayOf(validUntilMs)}`;
}

const causes: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'is not readable: permission denied',
  EISDIR: 'is a folder',
};

function read(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw new TlsFault(`${setting}: ${path} ${causes[code] ?? 'cannot be read'} (${code})`);
  }
}

function parseCertificate(pem: Buffer, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new TlsFault(`server.tls.cert: ${path} is not a PEM certificate`);
  }
}

function parseKey(pem: Buffer, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    const isEncrypted = pem.includes('ENCRYPTED');
    throw new TlsFault(
      `server.tls.key: ${path} ${isEncrypted ? 'is encrypted; use a key without a passphrase' : 'is not a PEM private key'}`,
    );
  }
}
