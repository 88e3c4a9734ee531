import { performance } from 'node:perf_hooks';
import type { Clock } from '../core/clock.ts';
import { scraped, type ScrapedFamily, type Sample } from './series.ts';

/** Read from a file, which fails if too many files are open; then the metric is omitted. */
function residentBytes(): number | Sample[] {
  try {
    return process.memoryUsage.rss();
  } catch {
    return [];
  }
}

/**
 * Process metrics under the names that Node dashboards expect. Read at the scrape only: prom-client's own
 * `collectDefaultMetrics` starts an observer of every garbage collection and a sampler of the event loop's delay that
 * run permanently and can't be disabled.
 */
export function processMetrics(clock: Clock): ScrapedFamily[] {
  const startedSeconds = clock.epochMs() / 1_000 - process.uptime();
  let utilization = performance.eventLoopUtilization();
  return [
    scraped('counter', 'process_cpu_user_seconds_total', 'User CPU time in seconds.', () => process.cpuUsage().user / 1e6),
    scraped('counter', 'process_cpu_system_seconds_total', 'System CPU time in seconds.', () => process.cpuUsage().system / 1e6),
    scraped('gauge', 'process_start_time_seconds', 'Start of the process, in seconds since the epoch.', () => startedSeconds),
    scraped('gauge', 'process_resident_memory_bytes', 'Resident memory in bytes.', residentBytes),
    scraped('gauge', 'nodejs_heap_size_total_bytes', 'Size of the JavaScript heap in bytes.', () => process.memoryUsage().heapTotal),
    scraped('gauge', 'nodejs_heap_size_used_bytes', 'Used part of the JavaScript heap in bytes.', () => process.memoryUsage().heapUsed),
    scraped('gauge', 'nodejs_external_memory_bytes', 'Memory of buffers outside the heap in bytes.', () => process.memoryUsage().external),
    scraped(
      'gauge',
      'nodejs_eventloop_utilization_ratio',
      'Share of time in which the event loop was busy since the last scrape, 0 to 1.',
      () => {
        const now = performance.eventLoopUtilization();
        const since = performance.eventLoopUtilization(now, utilization);
        utilization = now;
        return since.utilization;
      },
    ),
    scraped('gauge', 'nodejs_version_info', 'Version of Node.', () => [{ labels: { version: process.version }, value: 1 }]),
  ];
}
