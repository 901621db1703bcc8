/** The XML of S3: written from plain objects, read into a small tree. */
import { ServiceError } from '../aws-json';

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

export type XmlValue = string | number | boolean | undefined | XmlMembers | XmlMembers[];
export interface XmlMembers {
  readonly [name: string]: XmlValue;
}

/** An array becomes an element per item, an undefined member none. */
export function writeXml(
  root: string,
  members: XmlMembers | string,
  namespace: string | undefined = NAMESPACE,
): string {
  const content = typeof members === 'string' ? escape(members) : writeMembers(members);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${namespace ? ` xmlns="${namespace}"` : ''}>${content}</${root}>`;
}

function writeMembers(members: XmlMembers): string {
  return Object.entries(members)
    .map(([name, value]) => {
      if (value === undefined) return '';
      const items = Array.isArray(value) ? value : [value];
      return items
        .map(
          item =>
            `<${name}>${typeof item === 'object' ? writeMembers(item) : escape(String(item))}</${name}>`,
        )
        .join('');
    })
    .join('');
}

function escape(text: string): string {
  // Control characters as well: a key may hold them, XML text may not.
  return text.replace(/[&<>"\p{Cc}]/gu, character => `&#x${character.codePointAt(0)!.toString(16)};`);
}

export interface XmlElement {
  readonly name: string;
  readonly children: XmlElement[];
  text: string;
}

/**
 * Elements and their text; attributes and namespaces are skipped, entities beyond XML's own five are refused.
 */
export function readXml(source: string, root: string): XmlElement {
  const top: XmlElement = { name: '', children: [], text: '' };
  const open = [top];
  const body = source.replace(/^\uFEFF?\s*(<\?xml[^>]*\?>)?/, '');
  for (const [token] of body.matchAll(/<[^>]*>|[^<]+/g)) {
    const current = open[open.length - 1];
    if (!token.startsWith('<')) {
      current.text += unescape(token);
      continue;
    }
    const tag = /^<(\/?)([A-Za-z][\w.:-]*)[^>]*?(\/?)>$/.exec(token);
    if (!tag) throw malformedXml();
    const [, closing, name, empty] = tag;
    if (closing) {
      if (open.length === 1 || current.name !== name) throw malformedXml();
      open.pop();
      continue;
    }
    const element: XmlElement = { name, children: [], text: '' };
    current.children.push(element);
    if (!empty) open.push(element);
  }
  const [found] = top.children;
  if (open.length !== 1 || top.children.length !== 1 || found.name !== root) throw malformedXml();
  return found;
}

export function childText(element: XmlElement, name: string): string | undefined {
  return element.children.find(child => child.name === name)?.text;
}

export function malformedXml(): ServiceError {
  return new ServiceError(
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  );
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replace(/&([^;]*);/g, (_, entity: string) => {
    const code = /^#x([0-9a-f]+)$/i.exec(entity) ?? /^#(\d+)$/.exec(entity);
    const known = code
      ? String.fromCodePoint(parseInt(code[1], entity[1].toLowerCase() === 'x' ? 16 : 10))
      : ENTITIES[entity];
    if (known === undefined) throw malformedXml();
    return known;
  });
}
