export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** The request that started the run, without its credentials and URLs. */
export interface MappingRequest {
  readonly webhook_id: string;
  readonly settings: { [key: string]: Json };
  readonly label_name?: string;
  readonly tenant_id?: string;
  readonly [member: string]: Json | undefined;
}

/** A body of your own: the record is then sent alone, in a request with this content type. */
export interface OwnBody {
  readonly body: string | Uint8Array;
  readonly contentType: string;
}

export type RecordMapper = (
  record: { readonly [member: string]: Json },
  request: MappingRequest,
) => { readonly [member: string]: Json | undefined } | OwnBody | undefined;

declare const map: RecordMapper;
export default map;
