"""One request and its answer, as each logger writes them."""

import base64
import json

FIELDS = [5.1, 3.5, 1.4, 0.2]
AT = "2026-11-02T06:15:30.125Z"
AT_US = 1_793_600_130_125_000
ASKED = {"instances": [FIELDS]}
GIVEN = {"predictions": [[0.9, 0.1]]}
REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"


def line(record):
    return json.dumps(record).encode()


def b64(body):
    return base64.b64encode(json.dumps(body).encode()).decode()


def kserve_structured(kind=REQUEST, body=ASKED, at=AT, ident="q1", user="alice", **more):
    return line(
        {
            "specversion": "1.0",
            "id": ident,
            "source": "http://localhost:9081/",
            "type": kind,
            "time": at,
            "datacontenttype": "application/json",
            "inferenceservicename": "iris",
            "namespace": "default",
            "component": "predictor",
            "endpoint": "default",
            "metadata": json.dumps({"X-User": [user]} if user else {}),
            "data": body,
            **more,
        }
    )


def kserve_binary(kind=REQUEST, body=ASKED):
    return line(
        {
            "headers": {
                "Ce-Id": "q1",
                "Ce-Type": kind,
                "Ce-Time": AT,
                "Ce-Inferenceservicename": "iris",
                "Ce-Endpoint": "default",
                "Ce-Metadata": '{"X-User":["alice"]}',
                "Content-Type": "application/json",
            },
            "body": json.dumps(body),
        }
    )


def kserve_stored(kind=REQUEST, body=ASKED):
    """The blob store's JSON: Go's names, bytes as base64, URLs as objects, no time."""
    return line(
        {
            "Url": {"Scheme": "s3", "Host": "bucket", "Path": "/logs"},
            "Bytes": b64(body),
            "ContentType": "application/json",
            "ReqType": kind,
            "Id": "q1",
            "SourceUri": {"Scheme": "http", "Host": "localhost:9081"},
            "InferenceService": "iris",
            "Namespace": "default",
            "Component": "predictor",
            "Endpoint": "default",
            "Metadata": {"X-User": ["alice"]},
            "Annotations": {"team": "risk"},
            "CertName": "",
            "TlsSkipVerify": False,
        }
    )


def kserve_row(kind=REQUEST, body=ASKED, snake=False):
    """A row of the blob store's CSV or Parquet, of which there have been two spellings."""
    names = {
        "url": "s3://bucket/logs", "bytes": b64(body), "contentType": "application/json",
        "reqType": kind, "id": "q1", "sourceUri": "http://localhost:9081",
        "inferenceService": "iris", "namespace": "default", "component": "predictor",
        "endpoint": "default", "metadata": '{"X-User":["alice"]}', "annotations": "",
        "certName": "", "tlsSkipVerify": "false",
    }  # fmt: skip
    if snake:
        folded = {"contentType": "content_type", "reqType": "req_type",
                  "inferenceService": "inference_service", "sourceUri": "source_uri"}  # fmt: skip
        names = {folded.get(key, key): value for key, value in names.items()}
    return line(names)


def sagemaker(encoding="CSV", at=AT):
    asked = {"CSV": "5.1,3.5,1.4,0.2\n", "JSON": json.dumps(ASKED), "BASE64": b64(ASKED)}[encoding]
    given = {"CSV": "0.9,0.1", "JSON": json.dumps(GIVEN), "BASE64": b64(GIVEN)}[encoding]
    kind = "text/csv" if encoding == "CSV" else "application/json"
    return line(
        {
            "captureData": {
                "endpointInput": {
                    "observedContentType": kind, "mode": "INPUT", "data": asked,
                    "encoding": encoding,
                },
                "endpointOutput": {
                    "observedContentType": f"{kind}; charset=utf-8", "mode": "OUTPUT",
                    "data": given, "encoding": encoding,
                },
            },
            "eventMetadata": {"eventId": "e1", "inferenceTime": at},
            "eventVersion": "0",
        }
    )  # fmt: skip


def gateway_row(**more):
    return {
        "databricks_request_id": "d1",
        "request_date": "2026-11-02",
        "client_request_id": None,
        "request_time": AT,
        "status_code": 200,
        "sampling_fraction": 1.0,
        "execution_duration_ms": 12,
        "request": json.dumps({"dataframe_split": {"columns": list("abcd"), "data": [FIELDS]}}),
        "response": json.dumps(GIVEN),
        "logging_error_codes": [],
        "served_entity_id": "iris-3",
        "requester": "alice",
        **more,
    }


def endpoint_row(**more):
    return {
        "client_request_id": None,
        "databricks_request_id": "d1",
        "date": "2026-11-02",
        "timestamp_ms": AT_US // 1000,
        "status_code": 200,
        "execution_time_ms": 12,
        "sampling_fraction": 1.0,
        "request": json.dumps({"dataframe_records": [dict(zip("abcd", FIELDS, strict=True))]}),
        "response": json.dumps(GIVEN),
        "request_metadata": {"endpoint_name": "e", "model_name": "iris", "model_version": "3"},
        **more,
    }


def envoy_access(**more):
    return {
        "start_time": AT,
        "method": "POST",
        "path": "/v1/models/iris:predict",
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "duration": 12,
        "bytes_received": 44,
        "bytes_sent": 31,
        "x_forwarded_for": "203.0.113.7",
        "downstream_remote_address": "203.0.113.7:51234",
        "request_id": "r1",
        **more,
    }


def envoy_tap(as_string=False, truncated=False):
    def half(body):
        if as_string:
            return {"as_string": json.dumps(body), "truncated": truncated}
        return {"as_bytes": b64(body), "truncated": truncated}

    def headers(said):
        return [{"key": key, "value": value} for key, value in said.items()]

    return {
        "http_buffered_trace": {
            "request": {
                "headers": headers(
                    {
                        ":authority": "models.example", ":path": "/v1/models/iris:predict",
                        ":method": "POST", ":scheme": "https", "content-type": "application/json",
                        "x-user": "alice", "x-request-id": "r1",
                    }
                ),
                "body": half(ASKED),
                "trailers": [],
            },
            "response": {
                "headers": headers(
                    {":status": "200", "content-type": "application/json",
                     "date": "Mon, 02 Nov 2026 06:15:30 GMT"}
                ),
                "body": half(GIVEN),
                "trailers": [],
            },
        }
    }  # fmt: skip


OIP_ASKED = {
    "id": "q1",
    "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": FIELDS}],
}
OIP_GIVEN = {
    "id": "q1",
    "model_name": "iris",
    "outputs": [{"name": "p", "shape": [1, 2], "datatype": "FP64", "data": [0.9, 0.1]}],
}
