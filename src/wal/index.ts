export type { Damage } from './damage.ts';
export type { Disk, FileHandle } from './disk.ts';
export { systemDisk } from './disk.ts';
export { BODY_BYTES_MAX, FRAME_HEAD } from './frame.ts';
export type { InspectedSegment, Inspection, Origin } from './inspect.ts';
export { inspectLog } from './inspect.ts';
export type { Frame, Place } from './scan.ts';
export type { Segment, SegmentLogOptions } from './segment-log.ts';
export { SEGMENT_BYTES, SegmentLog } from './segment-log.ts';
