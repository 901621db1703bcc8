import { describe, expect, test } from 'vitest';
import { Resolver, type Template } from '../src/template/intrinsics';

const template: Template = {
  Resources: {},
  Conditions: { Yes: { 'Fn::Equals': ['a', 'a'] }, No: { 'Fn::Not': [{ Condition: 'Yes' }] } },
  Mappings: { Sizes: { 'us-east-1': { small: 1 } } },
  Parameters: { WithDefault: { Default: 'd' }, Without: {} },
};
const resolver = new Resolver(template, { ref: id => `ref-${id}`, attribute: (id, name) => `${id}.${name}` });

describe('resolves', () => {
  test.each([
    [{ Ref: 'Table' }, 'ref-Table'],
    [{ Ref: 'AWS::Region' }, 'us-east-1'],
    [{ Ref: 'WithDefault' }, 'd'],
    [{ 'Fn::GetAtt': ['Table', 'Arn'] }, 'Table.Arn'],
    [{ 'Fn::GetAtt': 'Table.Stream.Arn' }, 'Table.Stream.Arn'],
    [{ 'Fn::Join': ['-', ['a', { Ref: 'B' }]] }, 'a-ref-B'],
    [
      { 'Fn::Sub': '${AWS::Region}/${Table}/${Table.Arn}/${!Literal}' },
      'us-east-1/ref-Table/Table.Arn/${Literal}',
    ],
    [{ 'Fn::Sub': ['${X}', { X: { Ref: 'Y' } }] }, 'ref-Y'],
    [{ 'Fn::Select': [1, { 'Fn::Split': ['/', 'a/b/c'] }] }, 'b'],
    [{ 'Fn::FindInMap': ['Sizes', { Ref: 'AWS::Region' }, 'small'] }, 1],
    [{ 'Fn::If': ['Yes', 1, 2] }, 1],
    [{ 'Fn::If': ['No', 1, { Ref: 'AWS::NoValue' }] }, undefined],
    [{ a: { Ref: 'AWS::NoValue' }, b: [1, { Ref: 'AWS::NoValue' }] }, { b: [1] }],
    [{ 'Fn::Base64': 'hi' }, 'aGk='],
    [{ 'Fn::And': [{ Condition: 'Yes' }, { 'Fn::Or': [{ Condition: 'No' }, { Condition: 'Yes' }] }] }, true],
    [{ 'Fn::GetAZs': '' }, ['us-east-1a', 'us-east-1b', 'us-east-1c']],
    [
      { Ref: 'x', Other: 1 },
      { Ref: 'x', Other: 1 },
    ],
  ])('%j', (value, expected) => expect(resolver.resolve(value)).toEqual(expected));
});

describe('refuses by name', () => {
  test.each([
    [{ 'Fn::Transform': {} }, /Fn::Transform/],
    [{ 'Fn::ImportValue': 'x' }, /Fn::ImportValue/],
    [{ Ref: 'Without' }, /parameter Without/],
    [{ 'Fn::If': ['Maybe', 1, 2] }, /condition Maybe/],
    [{ 'Fn::FindInMap': ['Sizes', 'x', 'small'] }, /mapping Sizes/],
  ])('%j', (value, message) => expect(() => resolver.resolve(value)).toThrow(message));
});
