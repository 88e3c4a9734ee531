/** `breakwater check`: prints the effective config, or its faults; with `--online`, whether its providers work. */
import { stringify } from 'yaml';
import { effectiveConfig, sharedAccounts, type Config } from '../gateway/config/index.ts';
import { endOfLifeWarnings, unpricedBudgets } from '../gateway/money/prices.ts';
import { systemClock } from '../gateway/system-clock.ts';
import { TlsFault, expiryWarning, readTlsFiles } from '../server/tls-files.ts';
import { OperatorError } from './fail.ts';
import { findConfig } from './find-config.ts';

/** The warnings about the certificate; throws an `OperatorError` if it cannot be used. */
function checkTls({ server }: Config): string[] {
  if (server.tls.cert === '') return [];
  try {
    const warning = expiryWarning(readTlsFiles(server.tls), systemClock.epochMs());
    return warning === null ? [] : [warning];
  } catch (error) {
    throw error instanceof TlsFault ? new OperatorError([error.message]) : error;
  }
}

export interface CheckFlags {
  readonly online?: boolean;
  readonly calls?: boolean;
  readonly json?: boolean;
  /** In milliseconds. */
  readonly timeout: number;
}

export async function check(file: string | undefined, flags: CheckFlags): Promise<void> {
  const { config, file: used, found, skipped } = await findConfig({ config: file });
  for (const { name, from } of found) process.stderr.write(`breakwater: provider ${name}, from ${from}\n`);
  for (const { name, from, why } of skipped) process.stderr.write(`breakwater: ${from} is set, but ${name} is ${why}\n`);
  if (Object.keys(config.providers).length === 0)
    throw new OperatorError([used === null ? 'no provider is configured' : `${used}: providers: none configured`]);
  const warnings = [
    ...checkTls(config),
    ...sharedAccounts(config),
    ...endOfLifeWarnings(config, systemClock.epochMs()),
    ...unpricedBudgets(config),
  ];
  for (const warning of warnings)
    process.stderr.write(`breakwater: warning: ${warning}
`);
  if (flags.online === true) {
    const { checkOnline } = await import('./online/check-online.ts');
    if (!(await checkOnline(config, flags))) process.exitCode = 1;
    return;
  }
  process.stdout.write(`# ${used ?? 'from the environment'}: valid; the effective config, secrets masked
`);
  process.stdout.write(stringify(effectiveConfig(config)));
}
