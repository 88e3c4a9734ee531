/** Describes the cause of a failed connection and its fix, for an operator. */
import type { Failure } from '../core/facts.ts';
import { CredentialError } from './credential-error.ts';
import { createFailure } from '../wire/failure.ts';

/** Error codes for which the server is not at fault: this process or machine is out of descriptors, ports, buffers or memory. */
export const OWN_EXHAUSTION: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

interface ConnectionFault {
  /** `self-signed certificate: set NODE_EXTRA_CA_CERTS (DEPTH_ZERO_SELF_SIGNED_CERT)` */
  readonly text: string;
  readonly isPermanent: boolean;
}

const TRUST = 'set NODE_EXTRA_CA_CERTS to the file of its certificate authority';
const BASE_URL = "check the provider's baseUrl";

/** Cause and fix by the error code of Node, OpenSSL or undici. */
const PERMANENT: Readonly<Record<string, string>> = {
  ENOTFOUND: `the host name is unknown: ${BASE_URL} and the DNS`,
  EAI_NONAME: `the host name is unknown: ${BASE_URL} and the DNS`,
  EAI_NODATA: `the host name has no address: ${BASE_URL} and the DNS`,
  ENODATA: `the host name has no address: ${BASE_URL} and the DNS`,
  DEPTH_ZERO_SELF_SIGNED_CERT: `self-signed certificate: ${TRUST}`,
  SELF_SIGNED_CERT_IN_CHAIN: `self-signed certificate in the chain: ${TRUST}`,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `the certificate chain is incomplete: ${TRUST}`,
  UNABLE_TO_GET_ISSUER_CERT: `the issuer of the certificate is unknown: ${TRUST}`,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: `the issuer of the certificate is unknown: ${TRUST}`,
  CERT_UNTRUSTED: `the certificate is not trusted: ${TRUST}`,
  INVALID_CA: `the certificate authority is invalid: ${TRUST}`,
  CERT_HAS_EXPIRED: 'the certificate has expired: renew it, and check the clock of this machine',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet: check the clock of this machine',
  CERT_REVOKED: 'the certificate was revoked: renew it',
  CERT_REJECTED: 'the certificate was rejected: renew it',
  CERT_SIGNATURE_FAILURE: 'the signature of the certificate is wrong: renew it',
  HOSTNAME_MISMATCH: `the certificate is for another host name: ${BASE_URL}`,
  ERR_TLS_CERT_ALTNAME_INVALID: `the certificate is for another host name: ${BASE_URL}`,
  ERR_SSL_WRONG_VERSION_NUMBER: `the server does not speak TLS: ${BASE_URL}, http or https`,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: `the server does not speak TLS: ${BASE_URL}, http or https`,
  ERR_SSL_HTTP_REQUEST: `the server does not speak TLS: ${BASE_URL}, http or https`,
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'the server has no TLS version in common with Node',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'the server has no TLS version in common with Node',
  ERR_SSL_NO_PROTOCOLS_AVAILABLE: 'the server has no TLS version in common with Node',
  ERR_INVALID_URL: `the address is invalid: ${BASE_URL}`,
};

const PASSING: Readonly<Record<string, string>> = {
  ECONNREFUSED: `connection refused: is the server running, and the port of baseUrl right?`,
  EAI_AGAIN: 'the DNS does not respond',
  ETIMEDOUT: 'no response to the attempt to connect: is a firewall or proxy in the way?',
  UND_ERR_CONNECT_TIMEOUT: 'no response to the attempt to connect: is a firewall or proxy in the way?',
  EHOSTUNREACH: 'the host cannot be reached: is the network up?',
  ENETUNREACH: 'the network cannot be reached: is it up?',
  ECONNRESET: 'the server closed the connection while it was opened: does it speak the protocol of baseUrl?',
  EPROTO: `the TLS handshake failed: ${BASE_URL}, http or https`,
};

/** Faults that no retry resolves have the code `permanent_connect_failure`, for the verdict table. */
export function connectFailure(error: Error): Failure {
  if (error instanceof CredentialError) return credentialFailure(error);
  const { text, isPermanent } = connectionFault(error);
  return createFailure('connect', 'connect', `no connection: ${text}`, isPermanent ? { code: 'permanent_connect_failure' } : {});
}

/** A rejection of the credentials by their issuer counts as one by the provider; otherwise the target is unusable, as without a connection. */
function credentialFailure({ message, refusal }: CredentialError): Failure {
  if (refusal === null) return createFailure('connect', 'connect', message);
  return createFailure('status', 'connect', message, { status: 401, code: refusal, type: 'authentication_error' });
}

function connectionFault(error: Error): ConnectionFault {
  const code = codeOf(error);
  if (code === null) return { text: error.name, isPermanent: false };
  const permanent = PERMANENT[code];
  const words = permanent ?? PASSING[code];
  return { text: words === undefined ? code : `${words} (${code})`, isPermanent: permanent !== undefined };
}

/** Node wraps the failures of several addresses of one host in an AggregateError; undici wraps some in a cause. */
function codeOf(error: Error): string | null {
  const { code, errors, cause } = error as { code?: unknown; errors?: unknown; cause?: unknown };
  if (typeof code === 'string' && code !== '' && code !== 'UND_ERR_SOCKET') return code;
  const inner: unknown = Array.isArray(errors) ? errors[0] : cause;
  return inner instanceof Error && inner !== error ? codeOf(inner) : typeof code === 'string' ? code : null;
}
