/** Certificates for tests, made with openssl. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

export interface CertificatePaths {
  readonly cert: string;
  readonly key: string;
}

/** The reason to skip tests that need a certificate; false: openssl is installed. */
export const noOpenssl =
  spawnSync('openssl', ['version']).status === 0
    ? false
    : 'openssl makes the certificates; it is not installed (Debian: apt-get install openssl)';

/** Writes a self-signed certificate and its key into the folder. */
export function makeCertificate(folder: string, name: string): CertificatePaths {
  const paths = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`];
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const made = spawnSync('openssl', ['req', '-x509', ...options, ...names, '-keyout', paths.key, '-out', paths.cert]);
  if (made.status !== 0) throw new Error(`openssl: ${String(made.stderr)}`);
  return paths;
}
