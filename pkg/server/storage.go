/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package server

import (
	"context"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/members"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
)

// applyStorage configures the storages of stage 5: encryption, checksums, calls of an etcd in this
// process, and the check of etcd's space.
func applyStorage(ctx context.Context, in Inputs, config *apiserver.Config) error {
	generic := config.Generic
	var endpoints []string
	if in.Local != nil {
		endpoints = in.Local.Endpoints()
	}
	etcd := in.Etcd.Connected(endpoints)
	storageConfig := etcd.StorageConfig
	storageConfig.StorageObjectCountTracker = generic.StorageObjectCountTracker
	storageConfig.Transport.TracerProvider = storage.TimedCalls(generic.TracerProvider)
	scheme, codecs := apiserver.NewFleetScheme()
	factory := apiserver.NewStorageFactory(storageConfig, etcd.DefaultStorageMediaType, scheme, codecs)
	if builtins := config.Builtins; builtins != nil {
		factory = apiserver.WithBuiltins(factory,
			apiserver.NewStorageFactory(storageConfig, etcd.DefaultStorageMediaType, builtins.Scheme, builtins.Codecs))
	}
	storage.PrepareEncryption()
	if err := etcd.ApplyWithStorageFactoryTo(factory, generic); err != nil {
		return err
	}
	config.Encryption, generic.ReadyzChecks = storage.NewEncryption(ctx, generic.ResourceTransformers, generic.ReadyzChecks)
	go config.Encryption.Run(ctx)
	generic.RESTOptionsGetter = config.Encryption.Storages(generic.RESTOptionsGetter)
	generic.RESTOptionsGetter = storage.WithChecksums(generic.RESTOptionsGetter)
	if in.Local != nil {
		inProcess, err := storage.InProcess(generic.RESTOptionsGetter, etcd, in.Local)
		if err != nil {
			return err
		}
		generic.RESTOptionsGetter = inProcess
		config.Metrics = append(config.Metrics, in.Local.Metrics())
	}
	generic.RESTOptionsGetter = storage.WithMajority(generic.RESTOptionsGetter, observeMembers(ctx, in, config))
	watched, err := watchSpace(ctx, in, storageConfig.Prefix)
	if err != nil {
		return err
	}
	config.Metrics = append(config.Metrics, watched.Metrics())
	generic.RESTOptionsGetter = config.Encryption.ReadBack(storage.WithSpace(generic.RESTOptionsGetter, watched))
	generic.AddReadyzChecks(watched.HealthChecks()...)
	return nil
}

// watchSpace starts to watch the space of etcd until the context ends.
func watchSpace(ctx context.Context, in Inputs, prefix string) (*space.Server, error) {
	var watched *space.Server
	if in.Local != nil {
		watched = space.NewLocal(ctx, in.Local, prefix, in.Warnings)
	} else {
		var err error
		if watched, err = space.NewExternal(ctx, in.Etcd.External(), prefix, in.Warnings); err != nil {
			return nil, fmt.Errorf("--etcd-servers: %w", err)
		}
	}
	go watched.Run(ctx)
	return watched, nil
}

// observeMembers starts to observe the members of etcd until the context ends.
func observeMembers(ctx context.Context, in Inputs, config *apiserver.Config) *members.Poller {
	observed := members.Config{External: in.Etcd.External()}
	if in.Local != nil {
		observed.Local = in.Local
		peers := certificates.PeerFilesIn(in.CertificateDir())
		observed.External.CAFile, observed.External.CertFile, observed.External.KeyFile = peers.CAFile, peers.CertFile, peers.KeyFile
	}
	poller := members.New(ctx, observed)
	go poller.Run(ctx)
	config.StorageMembers = poller
	config.Metrics = append(config.Metrics, poller.Metrics())
	return poller
}
