export type { Disk, FileHandle } from './disk.ts';
export { systemDisk } from './disk.ts';
export { BODY_BYTES_MAX, FRAME_HEAD } from './frame.ts';
export type { Damage } from './recover.ts';
export type { Frame, Place, Segment, SegmentLogOptions } from './segment-log.ts';
export { SEGMENT_BYTES, SegmentLog } from './segment-log.ts';
