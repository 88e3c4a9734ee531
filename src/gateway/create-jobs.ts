import type { FinishedEvent } from '../core/events.ts';
import type { RequestListeners, JobClient } from '../jobs/host.ts';
import { Jobs } from '../jobs/jobs.ts';
import { bootId, machineName } from '../store/machine.ts';
import type { Store } from '../store/store.ts';
import { NativeTargets, type NativeParts } from './native-targets.ts';

/** The files and batches of a gateway; null: its store does not support them. The gateway is not used before they are started. */
export function createJobs(parts: NativeParts, store: Store, clientOf: (name: string) => JobClient | null): Jobs | null {
  const { kind, jobs } = store;
  if (jobs === null) return null;
  const { gateway, random } = parts;
  const { clock, slices, events } = gateway;
  const host = {
    clock,
    random,
    slices,
    store: jobs,
    hasJobs: () => store.hasJobs?.() ?? Promise.resolve(true),
    isShared: kind === 'redis',
    settings() {
      const { retention, maxBytes, maxOpen } = gateway.config.batch;
      const limits = { retentionMs: retention, bytesMax: maxBytes, openJobsMax: maxOpen };
      // With several clients, one may use at most half of each limit.
      if (gateway.config.clients.length < 2) return limits;
      return { ...limits, clientBytesMax: Math.ceil(maxBytes / 2), clientOpenJobsMax: Math.ceil(maxOpen / 2) };
    },
    client: clientOf,
    hasModel: gateway.hasModel.bind(gateway),
    handle: gateway.handle.bind(gateway),
    history: gateway.history,
    native: new NativeTargets(parts),
    onRequests({ begun, rejected, ended, finished }: RequestListeners) {
      const stops = [
        events.on('attempt', ({ requestId }) => begun(requestId)),
        events.on('rejected', ({ requestId, code, message }) => rejected(requestId, { code, message })),
        events.on('attempt_end', ({ requestId, verdict, status, message }) =>
          ended(requestId, { isGood: verdict === 'success' || verdict === 'reject', status, message }),
        ),
        // A response that another request has paid for costs nothing.
        events.on('finished', (event) => {
          const code = event.code === 'upstream_error' ? null : event.code;
          finished(event.requestId, { costUsd: paidFor(event), code });
        }),
      ];
      return () => stops.forEach((stop) => stop());
    },
    warn(message: string, detail?: string) {
      events.emit({ type: 'warning', at: clock.now(), message, ...(detail !== undefined && { detail }) });
    },
  };
  // Instances on several machines may have one host name.
  const machine = kind === 'redis' ? `${machineName()} ${bootId()}` : machineName();
  const created = new Jobs(host, { machine, pid: process.pid, startedAtMs: Math.round(performance.timeOrigin) });
  events.on('lifecycle', ({ state }) => {
    if (state === 'reloaded') created.configChanged();
  });
  return created;
}

/** With the questions to quality judges; a cached response costs nothing. Null: not known. */
function paidFor({ costUsd, checksUsd = 0, cache }: FinishedEvent): number | null {
  if (costUsd === null && checksUsd === 0) return cache === null ? null : 0;
  return (costUsd ?? 0) + checksUsd;
}
