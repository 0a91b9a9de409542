// Stand-in: reads a Caffe network and writes it down as a Lua script of nn modules.
#include <fcntl.h>
#include <unistd.h>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/text_format.h>

#include "TH.h"
#include "caffe.pb.h"

typedef caffe::V1LayerParameter Layer;

extern "C" {
void loadBinary(void **handle, const char *prototxt, const char *binary);
void convertProtoToLua(void **handle, const char *lua, const char *package);
void loadModule(void **handle, const char *name, THFloatTensor *weight, THFloatTensor *bias);
void destroyBinary(void **handle);
}

static bool readText(const char *name, google::protobuf::Message *message) {
    int file = open(name, O_RDONLY);
    if (file < 0) return false;
    google::protobuf::io::FileInputStream input(file);
    bool fine = google::protobuf::TextFormat::Parse(&input, message);
    close(file);
    return fine;
}

static bool readBinary(const char *name, google::protobuf::Message *message) {
    int file = open(name, O_RDONLY);
    if (file < 0) return false;
    auto raw_input = new google::protobuf::io::FileInputStream(file);
    auto coded_input = new google::protobuf::io::CodedInputStream(raw_input);
    coded_input->SetTotalBytesLimit(1073741824, 536870912);
    bool fine = message->ParseFromCodedStream(coded_input);
    delete coded_input;
    delete raw_input;
    close(file);
    return fine;
}

void loadBinary(void **handle, const char *prototxt, const char *binary) {
    auto net = new caffe::NetParameter();
    readText(prototxt, net);
    if (readBinary(binary, net)) {
        std::cout << "Successfully loaded " << binary << std::endl;
        handle[0] = net;
    } else {
        std::cout << "Couldn't load " << binary << std::endl;
        delete net;
    }
}

static std::string convolution(const Layer &layer, const std::string &package) {
    const auto &param = layer.convolution_param();
    char text[200];
    snprintf(text, sizeof text, "%s.SpatialConvolution(%d, %d, %u, %u, %u, %u, %u, %u)", package.c_str(),
             layer.blobs(0).channels(), layer.blobs(0).num(), param.kernel_size(), param.kernel_size(),
             param.stride(), param.stride(), param.pad(), param.pad());
    return text;
}

static std::string pooling(const Layer &layer, const std::string &package) {
    const auto &param = layer.pooling_param();
    char text[200];
    snprintf(text, sizeof text, "%s.SpatialMaxPooling(%u, %u, %u, %u):ceil()", package.c_str(),
             param.kernel_size(), param.kernel_size(), param.stride(), param.stride());
    return text;
}

void convertProtoToLua(void **handle, const char *lua, const char *package) {
    auto net = static_cast<caffe::NetParameter *>(handle[0]);
    std::ofstream out(lua);
    bool flat = false;
    auto line = [&](const std::string &name, const std::string &module) {
        out << "table.insert(model, {'" << name << "', " << module << "})\n";
    };
    out << "require '" << package << "'\nlocal model = {}\n";
    for (const Layer &layer : net->layers()) {
        switch (layer.type()) {
        case Layer::CONVOLUTION: line(layer.name(), convolution(layer, package)); break;
        case Layer::POOLING: line(layer.name(), pooling(layer, package)); break;
        case Layer::RELU: line(layer.name(), std::string(package) + ".ReLU(true)"); break;
        case Layer::DROPOUT: line(layer.name(), "nn.Dropout(0.500000)"); break;
        case Layer::SOFTMAX: line(layer.name(), std::string(package) + ".SoftMax()"); break;
        case Layer::INNER_PRODUCT:
            if (!flat) line("torch_view", "nn.View(-1):setNumInputDims(3)");
            flat = true;
            line(layer.name(), "nn.Linear(" + std::to_string(layer.blobs(0).width()) + ", " +
                                   std::to_string(layer.blobs(0).height()) + ")");
            break;
        default: std::cout << "warning: module '" << layer.name() << " [type " << layer.type() << "]' not found\n";
        }
    }
    out << "return model\n";
}

static void fill(THFloatTensor *tensor, const caffe::BlobProto &blob) {
    THFloatTensor_resize4d(tensor, blob.num(), blob.channels(), blob.height(), blob.width());
    memcpy(THFloatTensor_data(tensor), blob.data().data(), sizeof(float) * blob.data_size());
}

void loadModule(void **handle, const char *name, THFloatTensor *weight, THFloatTensor *bias) {
    auto net = static_cast<caffe::NetParameter *>(handle[0]);
    for (const Layer &layer : net->layers()) {
        if (layer.name() != name || layer.blobs_size() < 2) continue;
        const auto &blob = layer.blobs(0);
        printf("%s: %d %d %d %d\n", name, blob.num(), blob.channels(), blob.width(), blob.height());
        fflush(stdout);
        fill(weight, blob);
        fill(bias, layer.blobs(1));
    }
}

void destroyBinary(void **handle) { delete static_cast<caffe::NetParameter *>(handle[0]); }
