"""The gRPC front end: the Open Inference Protocol and gRPC's health protocol, before the same engine as HTTP.

Needs grpcio and protobuf, which only servers with a gRPC port import.
"""
