/** Both HTTP clients over TLS, with a certificate made for the test. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { createHttpTransport } from '../../src/transport/http-transport.ts';
import type { Transport, UpstreamCall } from '../../src/transport/transport.ts';

const folder = mkdtempSync(join(tmpdir(), 'breakwater-tls-'));
after(() => rmSync(folder, { recursive: true }));

function makeCertificate(name: string): { key: string; cert: string } | null {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`];
  const made = spawnSync('openssl', ['req', '-x509', ...options, '-addext', `subjectAltName=DNS:${name}`, '-keyout', key, '-out', cert]);
  return made.status === 0 ? { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') } : null;
}

const trusted = makeCertificate('localhost');
const misnamed = makeCertificate('other.example');
const untrusted = makeCertificate('localhost');
const skip = trusted === null ? 'openssl makes the certificates; it is not installed (Debian: apt-get install openssl)' : false;
if (trusted !== null) setDefaultCACertificates([...getCACertificates('default'), trusted.cert, misnamed!.cert]);

interface Heard {
  status: number;
  body: string;
  wasSent: boolean;
  error: (Error & { code?: string }) | null;
}

function ask(transport: Transport, origin: string, body: Uint8Array, onData?: (call: UpstreamCall) => void): Promise<Heard> {
  return new Promise((resolve) => {
    const heard: Heard = { status: 0, body: '', wasSent: false, error: null };
    const call = transport.send(
      { origin, path: '/', method: 'POST', headers: [], body, connectTimeoutMs: 5000 },
      {
        onSent: () => (heard.wasSent = true),
        onHeaders: (status) => (heard.status = status),
        onData(chunk) {
          heard.body += Buffer.from(chunk).toString('latin1');
          onData?.(call);
        },
        onEnd: () => resolve(heard),
        onError(error) {
          heard.error = error;
          resolve(heard);
        },
      },
    );
  });
}

for (const client of ['sockets', 'undici'] as const) {
  void describe(`TLS over ${client}`, { skip }, () => {
    async function stage(
      t: TestContext,
      listener: RequestListener,
      pair = trusted!,
    ): Promise<{ transport: Transport; origin: string; resumed: boolean[] }> {
      const resumed: boolean[] = [];
      const server = createServer(pair, listener);
      server.on('secureConnection', (socket: TLSSocket) => void resumed.push(socket.isSessionReused()));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      t.after(() => server.close());
      const transport = await createHttpTransport({ clock: systemClock, client });
      t.after(() => transport.close());
      return { transport, origin: `https://localhost:${(server.address() as AddressInfo).port}`, resumed };
    }

    test('a large body goes both ways whole, with pauses', async (t) => {
      const { transport, origin } = await stage(t, (request, response) => request.pipe(response));
      const body = Buffer.alloc(3_000_000, 'abcdefghijklmnopqrstuvw');
      const heard = await ask(transport, origin, body, (call) => {
        call.pause();
        setImmediate(() => call.resume());
      });
      assert.deepEqual([heard.status, heard.body.length, heard.body === body.toString()], [200, body.length, true]);
    });

    test('a new connection resumes the session of an earlier one', async (t) => {
      const { transport, origin, resumed } = await stage(t, (_request, response) =>
        response.writeHead(200, { connection: 'close' }).end('fine'),
      );
      for (let i = 0; i < 3; i++) {
        assert.equal((await ask(transport, origin, Buffer.from('x'))).body, 'fine');
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual([resumed[0], resumed.length], [false, 3]);
      assert.ok(resumed.includes(true));
    });

    test('a connection serves again', async (t) => {
      const { transport, origin, resumed } = await stage(t, (_request, response) => response.end('fine'));
      for (let i = 0; i < 3; i++) {
        assert.equal((await ask(transport, origin, Buffer.from('x'))).body, 'fine');
        await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      }
      assert.equal(resumed.length, 1);
    });

    // Another process responds in the turn in which the request was written, before the write is reported as complete.
    test('a connection to a fast server serves again', async (t) => {
      const script = `
        const { readFileSync } = require('node:fs');
        const [key, cert] = process.argv.slice(1).map((path) => readFileSync(path));
        let connections = 0;
        const answer = (request, response) => request.resume().on('end', () => response.end(String(connections)));
        const server = require('node:https').createServer({ key, cert }, answer);
        server.on('secureConnection', () => connections++);
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));`;
      const files = ['key', 'pem'].map((ending) => join(folder, `fast.${ending}`));
      writeFileSync(files[0]!, trusted!.key);
      writeFileSync(files[1]!, trusted!.cert);
      const server = spawn(process.execPath, ['-e', script, ...files], { stdio: ['ignore', 'pipe', 'inherit'] });
      t.after(() => server.kill());
      const [port] = (await once(server.stdout, 'data')) as [Buffer];
      const { transport } = await stage(t, () => {});
      let body = '';
      for (let i = 0; i < 50; i++) {
        body = (await ask(transport, `https://localhost:${Number(port)}`, Buffer.from('x'))).body;
        await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      }
      assert.equal(body, '1');
    });

    for (const [what, pair, code] of [
      ['an untrusted certificate', untrusted, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
      ['a certificate of another name', misnamed, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ] as const) {
      test(`nothing is sent to a server with ${what}`, async (t) => {
        const { transport, origin } = await stage(t, (_request, response) => response.end('fine'), pair!);
        const { error, wasSent } = await ask(transport, origin, Buffer.from('x'));
        assert.deepEqual([error?.code, wasSent], [code, false]);
      });
    }

    test('a server that does not speak TLS is named as such', async (t) => {
      const server = createPlainServer((_request, response) => response.end('fine'));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      t.after(() => server.close());
      const { transport } = await stage(t, () => {});
      const { error, wasSent } = await ask(transport, `https://localhost:${(server.address() as AddressInfo).port}`, Buffer.from('x'));
      assert.match(String(error?.code), /^ERR_SSL_/);
      assert.equal(wasSent, false);
    });
  });
}
