import type { IndexName, Verb } from './contract';

/**
 * What can be done with a code. Each verb is a function of its own, with a role of its own that may do one
 * thing to the table.
 */
export enum CodeVerb {
  /** Draws new codes: `POST /codes`. Every table has it. */
  ISSUE = 'issue',
  /** Brings in codes that were made elsewhere: `POST /codes/import`. */
  IMPORT = 'import',
  /** Says whether a code could be redeemed now, and nothing personal: `POST /codes/validate`. */
  VALIDATE = 'validate',
  /** Says everything about a code: `POST /codes/look-up`. */
  LOOK_UP = 'lookUp',
  /** Uses a code once: `POST /codes/redeem`. */
  REDEEM = 'redeem',
  /** Takes a redemption back: `POST /codes/roll-back`. */
  ROLL_BACK = 'rollBack',
  /** Takes a code out of use: `POST /codes/revoke`. */
  REVOKE = 'revoke',
  /** Undoes a revocation: `POST /codes/reinstate`. */
  REINSTATE = 'reinstate',
  /** Lists the codes of a reference or of a user: `POST /codes/list`. Needs `indexes`. */
  LIST = 'list',
}

/**
 * An index over codes.
 */
export enum CodeIndex {
  /** By `reference`: the global secondary index `ByReference`. */
  REFERENCE = 'ByReference',
  /** By `usedBy`: the global secondary index `ByUsedBy`. */
  USED_BY = 'ByUsedBy',
}

/** What the construct makes of a verb. */
export interface VerbDefinition {
  /** The id of the function in the construct: changing it would replace the function. */
  readonly id: string;
  readonly description: string;
  readonly path: string;
  /** The folder of its bundle, below that of the block. */
  readonly bundle: 'issue' | 'use';
  /** The only action that its role has on the table. */
  readonly action: string;
  /** The variable in which `bindTo` names the function. */
  readonly variable: string;
}

export const VERB: Readonly<Record<Verb, VerbDefinition>> = {
  issue: {
    id: 'IssueHandler',
    description: 'Issues codes that are never handed out twice',
    path: '/codes',
    bundle: 'issue',
    action: 'dynamodb:PutItem',
    variable: 'UNIQUE_CODE_FUNCTION_NAME',
  },
  import: {
    id: 'ImportHandler',
    description: 'Brings in codes that were made elsewhere',
    path: '/codes/import',
    bundle: 'issue',
    action: 'dynamodb:PutItem',
    variable: 'UNIQUE_CODE_IMPORT_FUNCTION_NAME',
  },
  validate: {
    id: 'ValidateHandler',
    description: 'Says whether a code could be redeemed now',
    path: '/codes/validate',
    bundle: 'use',
    action: 'dynamodb:GetItem',
    variable: 'UNIQUE_CODE_VALIDATE_FUNCTION_NAME',
  },
  lookUp: {
    id: 'LookUpHandler',
    description: 'Says everything about a code',
    path: '/codes/look-up',
    bundle: 'use',
    action: 'dynamodb:GetItem',
    variable: 'UNIQUE_CODE_LOOK_UP_FUNCTION_NAME',
  },
  redeem: {
    id: 'RedeemHandler',
    description: 'Uses a code once',
    path: '/codes/redeem',
    bundle: 'use',
    action: 'dynamodb:UpdateItem',
    variable: 'UNIQUE_CODE_REDEEM_FUNCTION_NAME',
  },
  rollBack: {
    id: 'RollBackHandler',
    description: 'Takes the redemption of a code back',
    path: '/codes/roll-back',
    bundle: 'use',
    action: 'dynamodb:UpdateItem',
    variable: 'UNIQUE_CODE_ROLL_BACK_FUNCTION_NAME',
  },
  revoke: {
    id: 'RevokeHandler',
    description: 'Takes a code out of use',
    path: '/codes/revoke',
    bundle: 'use',
    action: 'dynamodb:UpdateItem',
    variable: 'UNIQUE_CODE_REVOKE_FUNCTION_NAME',
  },
  reinstate: {
    id: 'ReinstateHandler',
    description: 'Undoes the revocation of a code',
    path: '/codes/reinstate',
    bundle: 'use',
    action: 'dynamodb:UpdateItem',
    variable: 'UNIQUE_CODE_REINSTATE_FUNCTION_NAME',
  },
  list: {
    id: 'ListHandler',
    description: 'Lists the codes of a reference or of a user',
    path: '/codes/list',
    bundle: 'use',
    action: 'dynamodb:Query',
    variable: 'UNIQUE_CODE_LIST_FUNCTION_NAME',
  },
};

/** The enum's values are the contract's names: this does not compile otherwise. */
export const verbOf = (verb: CodeVerb): Verb => verb satisfies `${CodeVerb}` as Verb;
export const indexOf = (index: CodeIndex): IndexName => index satisfies `${CodeIndex}` as IndexName;
