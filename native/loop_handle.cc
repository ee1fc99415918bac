// see loop_handle.h
#include "loop_handle.h"

namespace firsthop {

uv_loop_t* LoopHandle::loop() const {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  return loop;
}

void LoopHandle::adopt() {
  handle()->data = this;
  self_ = shared_from_this();
  napi_add_async_cleanup_hook(
      env_, [](napi_async_cleanup_hook_handle, void* data) { static_cast<LoopHandle*>(data)->close(); }, this, &hook_);
}

void LoopHandle::close() {
  if (closing_) return;
  closing_ = true;
  stop();
  uv_close(handle(), onClosed);
}

void LoopHandle::onClosed(uv_handle_t* handle) {
  auto* self = static_cast<LoopHandle*>(handle->data);
  const napi_async_cleanup_hook_handle hook = self->hook_;
  self->self_.reset();
  // The environment may end now.
  napi_remove_async_cleanup_hook(hook);
}

void LoopHandle::setAlive(bool alive) {
  if (closing_) return;
  if (alive) uv_ref(handle());
  else uv_unref(handle());
}

void LoopHandle::tell(const Napi::FunctionReference& listener, const std::vector<napi_value>& arguments) {
  listener.MakeCallback(env_.Global(), arguments, context_);
  if (env_.IsExceptionPending()) napi_fatal_exception(env_, env_.GetAndClearPendingException().Value());
}

int PollHandle::start(int fd, int events) {
  if (const int error = uv_poll_init(loop(), &poll_, fd)) return -error;
  adopt();
  uv_poll_start(&poll_, events, [](uv_poll_t* poll, int status, int) {
    auto* self = static_cast<PollHandle*>(static_cast<LoopHandle*>(poll->data));
    Napi::HandleScope scope(self->env());
    self->ready(status);
  });
  return 0;
}

int WakeHandle::start() {
  const int error = uv_async_init(loop(), &async_, [](uv_async_t* async) {
    auto* self = static_cast<WakeHandle*>(static_cast<LoopHandle*>(async->data));
    if (self->closing()) return;
    Napi::HandleScope scope(self->env());
    self->woken();
  });
  if (error != 0) return -error;
  adopt();
  return 0;
}

}  // namespace firsthop
