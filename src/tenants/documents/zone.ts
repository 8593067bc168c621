/** Time zones by their IANA names: which there are, and which one was meant. */
import { nearest } from '../../core/index.ts';

/** Zones that were found good; the tz database knows about 600. */
const goodZones = new Set<string>(['UTC']);
const ZONES_MAX = 1000;

/** `+01:00` is an offset, not a place with rules for its days. */
export function isZone(zone: string): boolean {
  if (goodZones.has(zone)) return true;
  if (/^[+-]/.test(zone)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
  } catch {
    return false;
  }
  if (goodZones.size < ZONES_MAX) goodZones.add(zone);
  return true;
}

/** What was said of a name. To look for one takes about a millisecond, so no more than so many are looked for. */
const remedies = new Map<string, string>();
const REMEDIES_MAX = 200;
const REMEDY = 'use a name of the IANA time zone database, or UTC';

export function zoneRemedy(zone: string): string {
  const known = remedies.get(zone);
  if (known !== undefined) return known;
  if (remedies.size >= REMEDIES_MAX) return REMEDY;
  const meant = zoneMeant(zone);
  const remedy = meant === undefined ? REMEDY : `did you mean ${meant}?`;
  remedies.set(zone, remedy);
  return remedy;
}

function zoneMeant(zone: string): string | undefined {
  const zones = Intl.supportedValuesOf('timeZone');
  const city = `/${zone.toLowerCase().replaceAll(' ', '_')}`;
  return zones.find((each) => each.toLowerCase().endsWith(city)) ?? nearest(zone, zones);
}
