#include "gateway/payer.h"

#include "api/route.h"
#include "base/clock.h"

bool payer_may_delete(const struct payer *p, bytes id, struct api_error *error)
{
    BUF_AUTO model = BUF(ROUTE_ID_MAX);
    *error = (struct api_error){ .cause = ERROR_MODEL_NOT_ALLOWED, .about = id };
    if (p->key == NULL || id.len == 0)
        return true;
    (void)route_decode_id(&model, id); /* what is none is a model without a name */
    return token_allows(p->key, buf_view(&model));
}

bool payer_may_background(const struct payer *p, bool background, struct api_error *error)
{
    *error = (struct api_error){ .cause = ERROR_BACKGROUND, .param = BYTES_LIT("background") };
    return !background || p->key == NULL || !allowance_limits_running(p->key->allowance);
}

bool payer_enter(struct payer *p, bytes model, struct api_error *error)
{
    struct allowance_view view;
    if (p->key == NULL)
        return true;
    *error = (struct api_error){ .cause = ERROR_MODEL_NOT_ALLOWED, .about = model };
    if (!token_allows(p->key, model))
        return false;
    p->entered = allowance_enter(p->key->allowance, clock_steady_us(), &view);
    limits_write(&view, &p->limits);
    *error = limits_error(&view);
    return p->entered;
}

void payer_leave(struct payer *p, const struct allowance_use *use)
{
    if (!p->entered)
        return;
    p->entered = false;
    allowance_leave(p->key->allowance);
    allowance_charge(p->key->allowance, clock_steady_us(), use);
}
