/**
 * Loaded into every measured Node process (`--import`): reports heap allocation and collections over IPC. All
 * contenders load it, so its cost affects all of them.
 */
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

export interface HeapCounts {
  /** Allocated by the main thread since its start. */
  readonly allocatedBytes: number;
  readonly minorCollections: number;
  readonly majorCollections: number;
}

let minorCollections = 0;
let majorCollections = 0;

if (process.send !== undefined) {
  new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries() as { detail?: { kind?: number } }[]) {
      if (detail?.kind === constants.NODE_PERFORMANCE_GC_MINOR) minorCollections++;
      else if (detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR) majorCollections++;
    }
  }).observe({ entryTypes: ['gc'] });
  process.on('message', () => {
    const { total_allocated_bytes: allocatedBytes = Number.NaN } = getHeapStatistics() as { total_allocated_bytes?: number };
    process.send!({ allocatedBytes, minorCollections, majorCollections } satisfies HeapCounts);
  });
  process.channel?.unref();
}
