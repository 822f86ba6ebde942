#pragma once
// How a process of ours uses its heap. Page faults are what short commands spend most of their time on, above all on
// virtual machines, where one costs up to ten microseconds.

namespace compose::sys {

/// For a command that lives for a moment: the heap grows in large steps, is never given back, and stands on huge pages
/// where the kernel has them (madvise(2), MADV_HUGEPAGE), so that a tree of 20 MiB costs ten page faults instead of
/// 5,000. Call it first thing in main; memory of its own it takes none.
void prepare_heap_for_command();

/// For a process that stays: all threads share one heap, so that what a worker has freed serves the next one.
void prepare_heap_for_service();

/// Gives memory that is free back to the kernel (malloc_trim(3)); after a burst of work, in a process that stays.
void release_free_memory();

}  // namespace compose::sys
